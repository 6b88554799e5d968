/* SPDX-License-Identifier: MIT */
#include "evaluation/report_page.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/json.h"

static const char style[] =
    ":root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b2330;--soft:#586274;"
    "--edge:#d9dee6;--grid:#e6e9ef;--warn:#fff4d6;--warn-edge:#d99a00;--c0:#0067ab;"
    "--c1:#c94f00;--c2:#00805d;--c3:#a8457f;--c4:#8a6a00;--c5:#5a4fcf;--c6:#4d5b6b;"
    "--c7:#b3261e}\n"
    "@media (prefers-color-scheme:dark){:root{--page:#12161c;--card:#1b212a;--ink:#e7ebf1;"
    "--soft:#a3aebd;--edge:#333c49;--grid:#2a323d;--warn:#3a2f12;--warn-edge:#c79a2c;"
    "--c0:#5cb3f0;--c1:#ff9256;--c2:#35c99c;--c3:#ea9bc9;--c4:#e3bd4a;--c5:#a79dff;"
    "--c6:#a9b6c6;--c7:#ff8a80}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,"
    "-apple-system,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif}\n"
    "main{max-width:1280px;margin:0 auto;padding:1.5rem 1rem 3rem}\n"
    "h1{font-size:1.75rem;line-height:1.2;margin:0;overflow-wrap:anywhere}\n"
    "h2{font-size:1.15rem;margin:2rem 0 .6rem}\n"
    "p{margin:.4rem 0;max-width:75ch}.soft,small{color:var(--soft)}\n"
    ".warning{background:var(--warn);border-left:4px solid var(--warn-edge);border-radius:4px;"
    "padding:.6rem .9rem;margin:.8rem 0;overflow-wrap:anywhere}.warning p{max-width:none}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(10.5rem,1fr));"
    "gap:.75rem;margin:1.25rem 0 0;padding:0}\n"
    ".card,figure,.box{background:var(--card);border:1px solid var(--edge);border-radius:8px}\n"
    ".card{padding:.65rem .85rem;min-width:0}.card dt{color:var(--soft);font-size:.85rem}\n"
    ".card dd{margin:0;font-size:1.25rem;font-weight:600;line-height:1.3;"
    "overflow-wrap:anywhere}\n"
    ".card.long{grid-column:span 2}.card.long dd{font-size:1rem}.card dd+dd{font-size:.85rem;"
    "font-weight:400;color:var(--soft)}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,26rem),1fr));"
    "gap:.75rem}\n"
    "figure{margin:0;padding:.8rem .9rem;min-width:0}figcaption b{display:block}\n"
    ".legend{font-size:.85rem;display:flex;flex-wrap:wrap;gap:.1rem 1rem;min-height:1.4em;"
    "overflow-wrap:anywhere}\n"
    ".legend svg{width:26px;height:10px;margin-right:.4em}\n"
    "figure>svg{display:block;width:100%;height:auto}figure>small{display:block}\n"
    "svg text{fill:var(--soft);font-size:13px}\n"
    ".grid{stroke:var(--grid)}.frame{stroke:var(--soft);fill:none}\n"
    ".line{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round}\n"
    ".area{fill:var(--c);fill-opacity:.25;stroke:none}.dot{fill:var(--c)}\n"
    ".dots{fill:none;stroke:var(--c);stroke-width:7;stroke-linecap:round;stroke-opacity:.65}"
    "path.dots{stroke-dasharray:none}\n"
    ".tell{fill:var(--c);fill-opacity:0}.tell:hover{fill-opacity:.5}\n"
    ".rule{fill:none;stroke:var(--soft);stroke-dasharray:4 4}\n"
    ".marker{stroke:var(--ink);stroke-dasharray:5 3;stroke-width:1.5}\n"
    ".k0{--c:var(--c0)}.k1{--c:var(--c1);stroke-dasharray:7 3}.k2{--c:var(--c2);"
    "stroke-dasharray:2 3}.k3{--c:var(--c3);stroke-dasharray:9 3 2 3}.k4{--c:var(--c4);"
    "stroke-dasharray:12 4}.k5{--c:var(--c5);stroke-dasharray:4 2}.k6{--c:var(--c6);"
    "stroke-dasharray:1 2}.k7{--c:var(--c7);stroke-dasharray:9 3 2 3 2 3}\n"
    ".solid{stroke-dasharray:none}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;"
    "font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.45rem .6rem;text-align:right;border-bottom:1px solid var(--edge);"
    "white-space:nowrap}tr:last-child>td,tr:last-child>th[scope=row]{border-bottom:0}\n"
    "th{font-weight:600}thead th{color:var(--soft);font-size:.85rem;vertical-align:bottom}\n"
    "th:first-child,td:first-child,.words{text-align:left}td.words{font-size:.85rem}"
    "th small{font-weight:400}\n"
    "td svg,th svg{width:150px;height:18px;display:block}\n"
    "details{padding:.6rem .9rem;margin-top:.75rem}summary{cursor:pointer;font-weight:600}\n"
    "pre{overflow-x:auto;font:.85rem/1.45 ui-monospace,\"DejaVu Sans Mono\",monospace;"
    "margin:.6rem 0 0}\n"
    "dl.terms dt{font-weight:600;margin-top:.5rem}dl.terms dd{margin:0;max-width:75ch}\n"
    "h3{font-size:1rem;margin:1.2rem 0 .5rem}\n"
    ".shots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));"
    "gap:.75rem}\n"
    ".shot div{display:flex;gap:.4rem}.shot img{flex:1 1 0;min-width:0;max-width:12rem;height:auto;"
    "image-rendering:pixelated;border:1px solid var(--edge)}.shot "
    "figcaption{overflow-wrap:anywhere}.shot small{float:right}\n"
    ".ramp{height:.7rem;max-width:20rem;border:1px solid var(--edge);margin:.5rem 0;"
    "background:linear-gradient(90deg,#000,#3c0a5f,#961e64,#e15032,#faaa2d,#fffabe);"
    "print-color-adjust:exact;-webkit-print-color-adjust:exact}\n"
    "footer{margin-top:2rem;font-size:.85rem;color:var(--soft)}\n"
    "@media (max-width:30rem){svg text{font-size:15px}.cards{grid-template-columns:1fr 1fr}"
    ".card dd{font-size:1.15rem}}\n"
    "@media print{body{background:none}figure,.card{break-inside:avoid}}\n";

void us_page_text(FILE *page, const char *text) {
    for (size_t left = strlen(text), size; left; left -= size, text += size) {
        size = us_utf8_length((const unsigned char *)text, left);
        const char *c = text;
        if (size != 1) {
            fwrite(size ? c : US_UTF8_REPLACEMENT, 1, size ? size : 3, page);
            size = size ? size : 1;
            continue;
        }
        switch (*c) {
        case '&':
            fputs("&amp;", page);
            break;
        case '<':
            fputs("&lt;", page);
            break;
        case '>':
            fputs("&gt;", page);
            break;
        case '"':
            fputs("&quot;", page);
            break;
        case '\'':
            fputs("&#39;", page);
            break;
        case '\n':
        case '\t':
            fputc(*c, page);
            break;
        default:
            fputs((unsigned char)*c < 32 || *c == 127 ? US_UTF8_REPLACEMENT : (char[]){*c, 0},
                  page);
        }
    }
}

void us_page_begin(FILE *page, const char *title, const char *subtitle) {
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"generator\" content=\"unseen\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
          "'unsafe-inline'; img-src data:\">\n<title>",
          page);
    us_page_text(page, title);
    fprintf(page, " - unseen</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n<h1>", style);
    us_page_text(page, title);
    fputs("</h1>\n", page);
    if (!subtitle || !*subtitle) return;
    fputs("<p class=\"soft\">", page);
    us_page_text(page, subtitle);
    fputs("</p>\n", page);
}

/* Pages of versions that named no generator are known by their title. */
bool us_page_recognize(const char *head, const void *unused) {
    (void)unused;
    return strncmp(head, "<!DOCTYPE html>", 15) == 0 &&
           (strstr(head, "<meta name=\"generator\" content=\"unseen\">") ||
            strstr(head, " - unseen</title>"));
}

void us_page_end(FILE *page) {
    fprintf(page, "<footer>Written by unseen %s.</footer>\n</main>\n</body>\n</html>\n",
            unseen_version());
}

void us_page_card(FILE *page, const char *name, const char *value, const char *note) {
    fprintf(page, "<div class=\"card%s\"><dt>", strlen(value) > 16 ? " long" : "");
    us_page_text(page, name);
    fputs("</dt><dd>", page);
    us_page_text(page, value);
    if (note) {
        fputs("</dd><dd>", page);
        us_page_text(page, note);
    }
    fputs("</dd></div>\n", page);
}

static const char *format(char text[US_TEXT_SIZE], const char *pattern, double value) {
    if (isfinite(value))
        snprintf(text, US_TEXT_SIZE, pattern, value);
    else
        strcpy(text, "unknown");
    return text;
}

const char *us_text_number(double value, char text[US_TEXT_SIZE]) {
    return format(text, fabs(value) >= 1e4 && fabs(value) < 1e9 ? "%.0f" : "%.4g", value);
}

const char *us_text_score(double value, char text[US_TEXT_SIZE]) {
    return format(text, fabs(value) > 10 ? "%.4g" : "%.4f", value);
}

const char *us_text_percent(double share, char text[US_TEXT_SIZE]) {
    return format(text, "%.1f%%", 100 * share);
}

const char *us_text_count(double value, char text[US_TEXT_SIZE]) {
    if (!isfinite(value) || fabs(value) >= 1e15) return format(text, "%.4g", value);
    char digits[US_TEXT_SIZE];
    int length = snprintf(digits, sizeof digits, "%.0f", fabs(value)), at = 0;
    if (value <= -0.5) text[at++] = '-';
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

const char *us_text_duration(double seconds, char text[US_TEXT_SIZE]) {
    if (!(seconds >= 0 && seconds < 1e12)) return format(text, "%.4g s", seconds);
    if (seconds < 99.95) return format(text, seconds < 9.995 ? "%.2f s" : "%.1f s", seconds);
    int64_t minutes = (int64_t)(seconds / 60 + 0.5);
    if (minutes < 120)
        snprintf(text, US_TEXT_SIZE, "%" PRId64 " min %02" PRId64 " s", (int64_t)seconds / 60,
                 (int64_t)seconds % 60);
    else
        snprintf(text, US_TEXT_SIZE, "%" PRId64 " h %02" PRId64 " min", minutes / 60, minutes % 60);
    return text;
}
