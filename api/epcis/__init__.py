"""`/epcis`: the history of devices as EPCIS 2.0 events."""
