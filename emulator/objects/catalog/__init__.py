"""Products, prices and discounts. Imports no other room of `objects`."""
