"""An API on loopback that speaks as a source file says, and does everything wrong that APIs do: `ingest test`.

values, made     records of the declared columns: types, formats, keys, times
bodies           … written as the endpoint's decoder reads them
asked            a request, and what of it stands for which placeholder
desk             the API's side of each paginator; gate  of each kind of auth; echo  what it repeats of a request
exports          … and of jobs: create, look, cancel, find, and where the results are
faults/          what can go wrong, one frozen value each
api, server      one endpoint's API with one fault, over HTTP
case, stand_in   which partition is asked for; the source with its addresses there
loaded           one walk without a fault, through to its table
bench, trial     one walk against one fault, and whether the promise was kept
trials           all of them, of a source; `ingest_assets.testing` makes tests of them
recorded/        what stored responses say against a file
"""
