"""Every API endpoint with its schema, the way it words schema errors, and its handler."""

from collections.abc import Mapping

from ratchet.brokers.simulator import schemas
from ratchet.brokers.simulator.routes import books, data, market, orders
from ratchet.brokers.simulator.routes.pipeline import Endpoint, ErrorStyle

ENDPOINTS: Mapping[str, Endpoint] = {
    "ping": Endpoint(schema=schemas.KEY_ONLY, style=ErrorStyle.OBJECT, handler=data.ping),
    "analyzer": Endpoint(schema=schemas.KEY_ONLY, style=ErrorStyle.TEXT_WITHOUT_MODE, handler=data.analyzer),
    "placeorder": Endpoint(schema=schemas.PLACE, style=ErrorStyle.TEXT_WITHOUT_MODE, handler=orders.place),
    "modifyorder": Endpoint(schema=schemas.MODIFY, style=ErrorStyle.TEXT, handler=orders.modify),
    "cancelorder": Endpoint(schema=schemas.ONE_ORDER, style=ErrorStyle.TEXT, handler=orders.cancel),
    "orderstatus": Endpoint(schema=schemas.ONE_ORDER, style=ErrorStyle.TEXT, handler=books.order_status),
    "orderbook": Endpoint(schema=schemas.KEY_ONLY, style=ErrorStyle.OBJECT, handler=books.order_book),
    "tradebook": Endpoint(schema=schemas.KEY_ONLY, style=ErrorStyle.OBJECT, handler=books.trade_book),
    "positionbook": Endpoint(schema=schemas.KEY_ONLY, style=ErrorStyle.OBJECT, handler=books.position_book),
    "openposition": Endpoint(schema=schemas.OPEN_POSITION, style=ErrorStyle.TEXT, handler=books.open_position),
    "funds": Endpoint(schema=schemas.KEY_ONLY, style=ErrorStyle.OBJECT, handler=books.funds),
    "quotes": Endpoint(schema=schemas.INSTRUMENT, style=ErrorStyle.OBJECT, handler=data.quotes),
    "symbol": Endpoint(schema=schemas.INSTRUMENT, style=ErrorStyle.OBJECT, handler=data.symbol),
    "expiry": Endpoint(schema=schemas.EXPIRY, style=ErrorStyle.OBJECT, handler=data.expiry),
    "optionsymbol": Endpoint(schema=schemas.OPTION_SYMBOL, style=ErrorStyle.BESIDE, handler=data.option_symbol),
    "market/holidays": Endpoint(
        schema=schemas.HOLIDAYS, style=ErrorStyle.OBJECT, handler=market.market_holidays, checks_key=False
    ),
    "market/timings": Endpoint(
        schema=schemas.TIMINGS, style=ErrorStyle.OBJECT, handler=market.market_timings, checks_key=False
    ),
}
