"""Long work over many documents: reconcile, backfill, the full comparison, the migrations, and how far they are. It
may import the shop, the inbox, the engine and what is below; never the operator's room or a front."""
