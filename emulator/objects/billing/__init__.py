"""Invoices, credit notes, meters and quotes. Of `objects`, may import `payments` and `catalog`."""
