# see the helper that owns this
