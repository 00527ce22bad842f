"""The page of a synthetic run, and its leading numbers for a terminal."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.report.synthetic.page import synthetic_finding as synthetic_finding
    from demograd.report.synthetic.page import synthetic_page as synthetic_page
    from demograd.report.synthetic.table import network_table as network_table

make_lazy(__name__)
