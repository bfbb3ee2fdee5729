"""Arrays and tables in, pictures out: plots, galleries and overlays, drawn without a display."""

from planetvision.figures.gallery import (
    Tile,
    annotate_image,
    draw_collage,
    draw_tile,
    save_image,
)
from planetvision.figures.overlay import draw_explanation, overlay_heatmap
from planetvision.figures.page import (
    Gallery,
    Section,
    Table,
    pair_images,
    render_page,
    save_page,
)
from planetvision.figures.plots import (
    HISTORY_COLUMNS,
    plot_confusion_matrix,
    plot_history,
    plot_per_class_accuracy,
    plot_rate_search,
)
from planetvision.figures.style import (
    ACCENT_COLOR,
    BAD_COLOR,
    GOOD_COLOR,
    INK_COLOR,
    MUTED_COLOR,
    NEUTRAL_COLOR,
    PAPER_COLOR,
    TONES,
    Tone,
    create_figure,
    load_font,
    save_figure,
    use_style,
)

__all__ = [
    "ACCENT_COLOR",
    "BAD_COLOR",
    "GOOD_COLOR",
    "HISTORY_COLUMNS",
    "INK_COLOR",
    "MUTED_COLOR",
    "NEUTRAL_COLOR",
    "PAPER_COLOR",
    "TONES",
    "Gallery",
    "Section",
    "Table",
    "Tile",
    "Tone",
    "annotate_image",
    "create_figure",
    "draw_collage",
    "draw_explanation",
    "draw_tile",
    "load_font",
    "overlay_heatmap",
    "pair_images",
    "plot_confusion_matrix",
    "plot_history",
    "plot_per_class_accuracy",
    "plot_rate_search",
    "render_page",
    "save_figure",
    "save_image",
    "save_page",
    "use_style",
]
