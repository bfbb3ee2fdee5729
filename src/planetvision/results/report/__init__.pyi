from .figures import ReportFigure as ReportFigure
from .figures import draw_figures as draw_figures
from .page import save_report as save_report
