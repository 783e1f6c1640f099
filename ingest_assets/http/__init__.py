"""One request: credential, limits, retries; its answer, redacted and bounded. The only code that imports requests.

client         asks for pages, and tries again: retry  when and after how long, traffic  what that came to
asking         when a request may go, and as whom
    limits         at most N in a window, over all processes: rates, bounds, slots, processes
    pace           slower before it is stopped, by what answers tell: allowances
    breaker        nobody asks an API that is down
    exchange       tokens: tokens  one for all processes, rotation  which of several credentials
sending        put together, signed, sent: target, transport, heads, steady, tls, trace, redirects
answer         what came: body  whole and no larger than allowed, unpacking  unzipped
meaning        a page, or which failure: refusal  in words
    responses      rules of the source file: conditions, rule_problems, waits
    graphql        errors inside 200
    validators     not changed since
auth/          how a request says who asks; secret, secrets, stores, vault, aws_secrets  where secrets come from
page           a request for a page, and the page: place, total  values in it; naming  how messages name it
paginators/    where the next page is
one_of         kinds of auth, paginators and decoders, each loaded where a file names it
decoders/      from a body to records: selector, nested, structure  where these are; sizes  what is held at once
"""
