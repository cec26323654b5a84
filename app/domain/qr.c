/*
 * qr.c - a QR code (ISO/IEC 18004) as SVG text and as PNG, by libqrencode and libpng.
 *
 * Error correction M, a quiet zone of four modules as the standard asks, always dark on white, also
 * on a dark page: many scanners cannot read the inverse. The SVG is one path of horizontal runs, so
 * that it stays a few kilobytes; the PNG is a palette of two colours, one bit deep.
 */
#include <png.h>
#include <qrencode.h>
#include <stdlib.h>

#include "domain/tickets.h"

enum { QUIET = 4, SCALE = 8, SCALE_MAX = 32 };

/* A link in upper case is in alphanumeric mode: libqrencode chooses the mode per stretch. */
static int encode(ush_text text, QRcode **ret)
{
    char *copy = strndup(text.at ? text.at : "", text.len);
    if (!copy)
        return -ENOMEM;
    *ret = QRcode_encodeString(copy, 0, QR_ECLEVEL_M, QR_MODE_8, 1);
    int rc = *ret ? 0 : errno == ERANGE ? USH_ELIMIT : errno == ENOMEM ? -ENOMEM : USH_EINVAL;
    free(copy);
    return rc;
}

static bool is_dark(const QRcode *q, int x, int y)
{
    return x >= 0 && y >= 0 && x < q->width && y < q->width && q->data[y * q->width + x] & 1;
}

int qr_svg(ush_text text, ush_text label, struct ush_buf *out)
{
    QRcode *q;
    USH_TRY(encode(text, &q));
    int side = q->width + 2 * QUIET;
    ush_buf_printf(out,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" "
                   "shape-rendering=\"crispEdges\" aria-label=\"",
                   side, side);
    ush_buf_add_html(out, label);
    ush_buf_printf(out, "\"><path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/><path d=\"", side, side);
    for (int y = 0; y < q->width; y++) {
        for (int x = 0, end; x < q->width; x = end + 1) {
            for (end = x; is_dark(q, end, y);)
                end++;
            if (end > x)
                ush_buf_printf(out, "M%d %dh%dv1h-%dz", x + QUIET, y + QUIET, end - x, end - x);
        }
    }
    ush_buf_add(out, USH_T("\"/></svg>"));
    QRcode_free(q);
    return out->error;
}

static int write_png(const QRcode *q, int scale, struct ush_buf *out)
{
    int side = (q->width + 2 * QUIET) * scale;
    uint8_t *pixels = malloc((size_t)side * (size_t)side);
    const uint8_t colours[] = {255, 0}; /* white, black */
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)side,
                       .height = (png_uint_32)side,
                       .format = PNG_FORMAT_GRAY | PNG_FORMAT_FLAG_COLORMAP,
                       .colormap_entries = 2};
    if (!pixels)
        return -ENOMEM;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            pixels[y * side + x] = is_dark(q, x / scale - QUIET, y / scale - QUIET);
    size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
    char *png = malloc(bytes);
    int rc = -ENOMEM;
    if (png && png_image_write_to_memory(&image, png, &bytes, 0, pixels, 0, colours)) {
        ush_buf_add(out, (ush_text){png, bytes});
        rc = out->error;
    }
    free(png);
    free(pixels);
    return rc;
}

int qr_png(ush_text text, int scale, struct ush_buf *out)
{
    QRcode *q;
    USH_TRY(encode(text, &q));
    int rc = write_png(q, scale < 1 || scale > SCALE_MAX ? SCALE : scale, out);
    QRcode_free(q);
    return rc;
}
