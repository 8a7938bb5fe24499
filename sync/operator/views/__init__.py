"""What an operator looks at: a search, a document's timeline, and figures of the last hour. It reads only, by indexes.
It may import all of `sync/operator`.
"""
