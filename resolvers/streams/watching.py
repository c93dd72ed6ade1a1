"""What doors need of viewer limits."""

from typing import NamedTuple

from resolvers.rates import Rates
from resolvers.streams.feed import ViewerFeed
from resolvers.streams.seats import Seats


class Watching(NamedTuple):
    """Who decides, who tells of changes, and how often ids are made for one client, whichever door it comes by."""

    seats: Seats
    feed: ViewerFeed
    rates: Rates
