"""The only callers of Stripe: what is asked, what an answer means, lists, the pace of a run, permissions. It may
import settings, errors, logs, `sync/process/` and models; it knows no connection, and is handed what it needs."""
