"""Puts the rows of all Stripe types into the table: to serve another type, add its row here."""

from __future__ import annotations

from stripe_mongo_sync.emulator import account, bank, discounts, issuing, money, purchases, sources
from stripe_mongo_sync.emulator.account import ACCOUNT
from stripe_mongo_sync.emulator.billing import INVOICE
from stripe_mongo_sync.emulator.charges import CHARGE, REFUND
from stripe_mongo_sync.emulator.checkout import SESSION
from stripe_mongo_sync.emulator.clocks import TEST_CLOCK
from stripe_mongo_sync.emulator.coupons import COUPON
from stripe_mongo_sync.emulator.credit_notes import CREDIT_NOTE
from stripe_mongo_sync.emulator.customers import CUSTOMER
from stripe_mongo_sync.emulator.disputes import DISPUTE
from stripe_mongo_sync.emulator.endpoints import WEBHOOK_ENDPOINT
from stripe_mongo_sync.emulator.identity import VERIFICATION_SESSION
from stripe_mongo_sync.emulator.invoice_payments import INVOICE_PAYMENT
from stripe_mongo_sync.emulator.invoiceitems import INVOICEITEM
from stripe_mongo_sync.emulator.links import PAYMENT_LINK, PORTAL_SESSION
from stripe_mongo_sync.emulator.payment_methods import PAYMENT_METHOD
from stripe_mongo_sync.emulator.payments import PAYMENT_INTENT
from stripe_mongo_sync.emulator.plans import PLAN
from stripe_mongo_sync.emulator.planted import PLANTED
from stripe_mongo_sync.emulator.portal import CONFIGURATION
from stripe_mongo_sync.emulator.prices import PRICE
from stripe_mongo_sync.emulator.products import PRODUCT
from stripe_mongo_sync.emulator.promotion_codes import PROMOTION_CODE
from stripe_mongo_sync.emulator.quotes import QUOTE
from stripe_mongo_sync.emulator.rates import SHIPPING_RATE, TAX_RATE
from stripe_mongo_sync.emulator.reports import REPORT_RUN
from stripe_mongo_sync.emulator.resource import register
from stripe_mongo_sync.emulator.schedules import SCHEDULE
from stripe_mongo_sync.emulator.setups import SETUP_INTENT
from stripe_mongo_sync.emulator.subscription_items import SUBSCRIPTION_ITEM
from stripe_mongo_sync.emulator.subscriptions import SUBSCRIPTION

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
