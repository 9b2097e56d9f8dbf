"""Whether what is written on a figure can be read."""


def drawn_texts(figure):
    """Texts and their boxes [pixel] once the figure is drawn, but for the slanted ones."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for legend in figure.legends for text in legend.get_texts()]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label]
        texts += axes.get_legend().get_texts() if axes.get_legend() else []
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    shown = [text for text in texts if text.get_text() and text.get_visible() and text.get_rotation() in (0, 90)]
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in shown]


def assert_readable(figure):
    """Every text is within the figure, and no two overlap by more than a pixel."""
    boxes = drawn_texts(figure)
    assert len(boxes) > 5
    for i, (one, a) in enumerate(boxes):
        assert a.x0 >= 0, one
        assert a.y0 >= 0, one
        assert a.x1 <= figure.bbox.x1, one
        assert a.y1 <= figure.bbox.y1, one
        for other, b in boxes[i + 1 :]:
            assert min(a.x1, b.x1) - max(a.x0, b.x0) <= 1 or min(a.y1, b.y1) - max(a.y0, b.y0) <= 1, (one, other)
