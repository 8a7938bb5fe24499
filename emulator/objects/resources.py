"""Registers the rows of all Stripe types. To serve another type, add its row here."""

from __future__ import annotations

from stripe_mongo_sync.emulator.engine.resource import register
from stripe_mongo_sync.emulator.objects import account, issuing
from stripe_mongo_sync.emulator.objects.account import ACCOUNT
from stripe_mongo_sync.emulator.objects.billing import meters, quotes
from stripe_mongo_sync.emulator.objects.billing.credit_grants import CREDIT_GRANT
from stripe_mongo_sync.emulator.objects.billing.credit_notes import CREDIT_NOTE
from stripe_mongo_sync.emulator.objects.billing.invoice_payments import INVOICE_PAYMENT
from stripe_mongo_sync.emulator.objects.billing.invoice_resource import INVOICE
from stripe_mongo_sync.emulator.objects.billing.invoiceitems import INVOICEITEM
from stripe_mongo_sync.emulator.objects.catalog import discounts
from stripe_mongo_sync.emulator.objects.catalog.coupons import COUPON
from stripe_mongo_sync.emulator.objects.catalog.plans import PLAN
from stripe_mongo_sync.emulator.objects.catalog.prices import PRICE
from stripe_mongo_sync.emulator.objects.catalog.products import PRODUCT
from stripe_mongo_sync.emulator.objects.catalog.promotion_codes import PROMOTION_CODE
from stripe_mongo_sync.emulator.objects.catalog.rates import SHIPPING_RATE, TAX_RATE
from stripe_mongo_sync.emulator.objects.checkout import purchases
from stripe_mongo_sync.emulator.objects.checkout.checkout import SESSION
from stripe_mongo_sync.emulator.objects.checkout.hosted_pages import PAYMENT_LINK, PORTAL_SESSION
from stripe_mongo_sync.emulator.objects.checkout.portal import CONFIGURATION
from stripe_mongo_sync.emulator.objects.clocks import TEST_CLOCK
from stripe_mongo_sync.emulator.objects.customers import CUSTOMER
from stripe_mongo_sync.emulator.objects.endpoints import WEBHOOK_ENDPOINT
from stripe_mongo_sync.emulator.objects.files import FILE
from stripe_mongo_sync.emulator.objects.identity import VERIFICATION_SESSION
from stripe_mongo_sync.emulator.objects.payments import balances, bank, ledger, money, sources
from stripe_mongo_sync.emulator.objects.payments.charges import CHARGE, REFUND
from stripe_mongo_sync.emulator.objects.payments.disputes import DISPUTE
from stripe_mongo_sync.emulator.objects.payments.payment_methods import PAYMENT_METHOD
from stripe_mongo_sync.emulator.objects.payments.payments import PAYMENT_INTENT
from stripe_mongo_sync.emulator.objects.payments.setups import SETUP_INTENT
from stripe_mongo_sync.emulator.objects.read_only import READ_ONLY
from stripe_mongo_sync.emulator.objects.reports import REPORT_RUN
from stripe_mongo_sync.emulator.objects.subscriptions import previews
from stripe_mongo_sync.emulator.objects.subscriptions.schedules import SCHEDULE
from stripe_mongo_sync.emulator.objects.subscriptions.subscription_items import SUBSCRIPTION_ITEM
from stripe_mongo_sync.emulator.objects.subscriptions.subscriptions import SUBSCRIPTION

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
        CREDIT_GRANT,
        TAX_RATE,
        SHIPPING_RATE,
        PAYMENT_LINK,
        PORTAL_SESSION,
        SUBSCRIPTION_ITEM,
        TEST_CLOCK,
        *READ_ONLY,
        CONFIGURATION,
        ACCOUNT,
        ledger.BALANCE_TRANSACTION,
        money.PAYOUT,
        money.TOPUP,
        money.TRANSFER,
        CREDIT_NOTE,
        meters.METER,
        quotes.QUOTE,
        SCHEDULE,
        issuing.CARDHOLDER,
        issuing.CARD,
        issuing.AUTHORIZATION,
        issuing.TRANSACTION,
        VERIFICATION_SESSION,
        FILE,
        REPORT_RUN,
        balances.TRANSACTION,
        bank.CASH_TRANSACTION,
        sources.CARD,
    ),
    routes=(
        route
        for module in (account, balances, bank, discounts, issuing, meters, money, previews, purchases, quotes, sources)
        for route in module.ROUTES
    ),
)
