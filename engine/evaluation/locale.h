/* SPDX-License-Identifier: MIT */
/* Numbers in files have a decimal point. The library never calls setlocale, but its caller may
 * have: strtod and printf then follow that locale. Code that reads or writes numbers therefore
 * switches the calling thread (and no other) to the C locale meanwhile. */
#ifndef US_EVALUATION_LOCALE_H
#define US_EVALUATION_LOCALE_H

#include <locale.h>

typedef struct us_locale {
    locale_t numerals, before;
} us_locale;

static inline us_locale us_locale_enter(void) {
    us_locale scope = {.numerals = newlocale(LC_ALL_MASK, "C", (locale_t)0)};
    if (scope.numerals) scope.before = uselocale(scope.numerals);
    return scope;
}

static inline void us_locale_leave(us_locale scope) {
    if (!scope.numerals) return;
    uselocale(scope.before);
    freelocale(scope.numerals);
}

#endif
