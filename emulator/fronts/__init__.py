"""Ways into the emulator (in process, WSGI, socket, control API) and out (webhooks); it imports all rooms below."""
