/* SPDX-License-Identifier: MIT */
/* The frame of a report: one HTML page without scripts or outside references, and its text. */
#ifndef US_EVALUATION_REPORT_PAGE_H
#define US_EVALUATION_REPORT_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Everything up to the heading; title and subtitle (may be NULL) are plain text. */
void us_page_begin(FILE *page, const char *title, const char *subtitle);
void us_page_end(FILE *page);

/* Whether a text begins as such a page does: for us_output. */
bool us_page_recognize(const char *head, const void *unused);

/* Text of any origin, escaped for elements and quoted attributes. */
void us_page_text(FILE *page, const char *text);

/* One summary card: a name, the value (plain text) and a smaller line below (NULL: none). */
void us_page_card(FILE *page, const char *name, const char *value, const char *note);

/* Short texts for people, into `text`, which is returned; "unknown" for what is not finite. */
enum { US_TEXT_SIZE = 48 };
const char *us_text_number(double value, char text[US_TEXT_SIZE]);     /* four digits: 0.01234 */
const char *us_text_score(double value, char text[US_TEXT_SIZE]);      /* four decimals: 0.8130 */
const char *us_text_count(double value, char text[US_TEXT_SIZE]);      /* 3,176,419 */
const char *us_text_percent(double share, char text[US_TEXT_SIZE]);    /* 12.3% */
const char *us_text_duration(double seconds, char text[US_TEXT_SIZE]); /* 1 h 12 min */

#endif
