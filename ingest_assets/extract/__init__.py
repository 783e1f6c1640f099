"""The walk: one partition of an API, page by page into a snapshot, to a stated end. Read from top to bottom.

pull          a fetch: begun or gone on with, walked, and its verdict; progress  how far it is
request       what is asked for first; gap  whether a feed was left alone for too long
walking       the parts of a fetch, in turn or at once
    parts         which there are, what is stored of each, how each ended
    children      parents as parts; batches of several in one request
    spans, cap    windows cut in pieces; cut again where an API caps what it gives
    cut_lists     nested lists that came cut; connections  those of GraphQL that are not read on
    failures      which failed part leaves the others going on
chain         one chain of pages, from its first request to its end
    trail         what the pages so far add up to, and whether they go in circles
    ending        why it ends with a page, or cannot; ruled  by a rule of the source file
    newest        … or with the first record that is older than the window
    expected      how many records there should be; neighbours  whether the window was looked at at all
    overlap       whether records moved between two pages
storing       a request becomes a stored page
    reading       what the walk needs to know of it; seen  in few bytes a page
    unchanged     a page that has not changed is taken from what is stored
crew          threads: abreast  part beside part, ahead  page after page of one chain
jobs          what has to be made first: job_answers, job_places, job_files
peek          the first page for people to look at; more  whether it is all
"""
