# The rooms, in order. A room uses rooms before it in this list, never a later one; make lint checks it.
# Nothing else is listed by hand: files are found in src/<room>/ and sql/<room>/<kind>/.
ROOMS = base text access people time rollup process sales service value scoring marketing exchange reports
