"""All who act without an API call: buyers, banks, the Dashboard, a test. Imports `objects` and the rooms below."""
