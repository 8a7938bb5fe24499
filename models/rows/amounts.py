"""How large an amount may be: as large as JSON and BSON hold it exactly. What may be charged, Stripe knows and says."""

LARGEST = (
    2**53 - 1
)  # in the minor unit. Any limit of a currency would be wrong in another: 62 dollars have 8 digits in IDR
