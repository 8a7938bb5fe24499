"""The largest amount: the largest whole number that JSON and BSON hold exactly. Stripe checks what may be charged."""

# In the minor unit. No smaller limit fits all currencies: 62 dollars are an amount of eight digits in IDR.
LARGEST = 2**53 - 1
