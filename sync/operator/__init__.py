"""What an operator asks and repairs: status, doctor, findings, operations, events, endpoints, the catalogue of types.
It may import the runs, the inbox, the engine and what is below; never a front."""
