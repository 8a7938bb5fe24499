"""Puts the rows of all Stripe types into the table: to serve another type, add its row here."""

from __future__ import annotations

from emulator import account, bank, discounts, issuing, money, purchases, sources
from emulator.account import ACCOUNT
from emulator.billing import INVOICE
from emulator.charges import CHARGE, REFUND
from emulator.checkout import SESSION
from emulator.clocks import TEST_CLOCK
from emulator.coupons import COUPON
from emulator.credit_notes import CREDIT_NOTE
from emulator.customers import CUSTOMER
from emulator.disputes import DISPUTE
from emulator.endpoints import WEBHOOK_ENDPOINT
from emulator.identity import VERIFICATION_SESSION
from emulator.invoice_payments import INVOICE_PAYMENT
from emulator.invoiceitems import INVOICEITEM
from emulator.links import PAYMENT_LINK, PORTAL_SESSION
from emulator.payment_methods import PAYMENT_METHOD
from emulator.payments import PAYMENT_INTENT
from emulator.plans import PLAN
from emulator.planted import PLANTED
from emulator.portal import CONFIGURATION
from emulator.prices import PRICE
from emulator.products import PRODUCT
from emulator.promotion_codes import PROMOTION_CODE
from emulator.quotes import QUOTE
from emulator.rates import SHIPPING_RATE, TAX_RATE
from emulator.reports import REPORT_RUN
from emulator.resource import register
from emulator.schedules import SCHEDULE
from emulator.setups import SETUP_INTENT
from emulator.subscription_items import SUBSCRIPTION_ITEM
from emulator.subscriptions import SUBSCRIPTION

register(
    rows=(
        CUSTOMER,
        PRODUCT,
        PRICE,
        PLAN,
        COUPON,
        PROMOTION_CODE,
        WEBHOOK_ENDPOINT,
        PAYMENT_METHOD,
        SETUP_INTENT,
        PAYMENT_INTENT,
        CHARGE,
        REFUND,
        DISPUTE,
        SESSION,
        SUBSCRIPTION,
        INVOICE,
        INVOICE_PAYMENT,
        INVOICEITEM,
        TAX_RATE,
        SHIPPING_RATE,
        PAYMENT_LINK,
        PORTAL_SESSION,
        SUBSCRIPTION_ITEM,
        TEST_CLOCK,
        *PLANTED,
        CONFIGURATION,
        ACCOUNT,
        money.PAYOUT,
        money.TOPUP,
        money.TRANSFER,
        CREDIT_NOTE,
        QUOTE,
        SCHEDULE,
        issuing.CARDHOLDER,
        issuing.CARD,
        issuing.AUTHORIZATION,
        issuing.TRANSACTION,
        VERIFICATION_SESSION,
        REPORT_RUN,
        bank.CASH_TRANSACTION,
        sources.CARD,
    ),
    routes=(
        route for module in (account, bank, discounts, issuing, money, purchases, sources) for route in module.ROUTES
    ),
)
