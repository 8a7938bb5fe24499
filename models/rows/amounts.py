"""The largest amount: the largest whole number that JSON and BSON hold exactly. Stripe checks what may be charged."""

LARGEST = (
    2**53 - 1
)  # in the minor unit. Any limit of a currency would be wrong in another: 62 dollars have 8 digits in IDR
