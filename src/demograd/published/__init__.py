"""Numbers of the papers, as data, to stand beside the user's own. (There are none for Dai 2023 and Shen 2023.)"""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.published.beside import beside as beside
    from demograd.published.beside import published_average as published_average
    from demograd.published.beside import published_by_layer as published_by_layer
    from demograd.published.exhibits import Exhibit as Exhibit
    from demograd.published.exhibits import exhibits as exhibits
    from demograd.published.tables import Caveat as Caveat
    from demograd.published.tables import caveats as caveats
    from demograd.published.tables import caveats_of as caveats_of
    from demograd.published.tables import table as table
    from demograd.published.tables import table_names as table_names

make_lazy(__name__)
