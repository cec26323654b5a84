/*
 * civil.c - instants and calendar dates.
 *
 * An instant is a signed number of milliseconds since 1970-01-01T00:00:00Z; a day has 86,400
 * seconds. The calendar is the proleptic Gregorian one. Both directions are arithmetic on eras of
 * 400 years (146,097 days) that begin on 1 March, so that the leap day is the last of its year and
 * a month's first day needs no table: day 153 * m / 5 of the year, m counted from March.
 *
 * Invariants
 * 1. civil_from_ms and civil_to_ms are inverse over every int64_t instant whose local time can be
 *    counted in one.
 * 2. Texts have four-digit years, as RFC 3339 and RFC 9110 demand: an instant outside the years 0
 *    to 9999 is written as the nearest inside.
 * 3. Parsers take a date that exists and nothing else: no 30 February, no 24:00, no leap second
 *    (an instant cannot hold one), and an HTTP date's weekday must be its own.
 *
 * Time zones with rules are not here; callers give the offset that holds at the instant.
 */
#include "base/base.h"

#include <stdio.h>

enum { MS_PER_DAY = 86400000, DAYS_PER_ERA = 146097, DAYS_TO_1970 = 719468 };

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t days_from_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = floor_div(year, 400), year_of_era = year - era * 400;
    int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

struct ush_civil ush_civil_from_ms(int64_t wall_ms, int utc_offset_min)
{
    int64_t offset_ms = (int64_t)utc_offset_min * 60000, local;
    if (__builtin_add_overflow(wall_ms, offset_ms, &local))
        local = wall_ms; /* 292 million years away, an hour is not missed */
    int64_t days = floor_div(local, MS_PER_DAY);
    int64_t ms = (local % MS_PER_DAY + MS_PER_DAY) % MS_PER_DAY;

    int64_t shifted = days + DAYS_TO_1970, era = floor_div(shifted, DAYS_PER_ERA);
    int64_t of_era = shifted - era * DAYS_PER_ERA;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int from_march = (int)((5 * of_year + 2) / 153);
    int month = from_march < 10 ? from_march + 3 : from_march - 9;
    return (struct ush_civil){
        .year = (int)(year + era * 400 + (month <= 2)),
        .month = month,
        .day = (int)(of_year - (153 * from_march + 2) / 5 + 1),
        .hour = (int)(ms / 3600000),
        .minute = (int)(ms / 60000 % 60),
        .second = (int)(ms / 1000 % 60),
        .ms = (int)(ms % 1000),
        .weekday = (int)(((days + 4) % 7 + 7) % 7),
    };
}

int ush_civil_to_ms(const struct ush_civil *c, int utc_offset_min, int64_t *ret_wall_ms)
{
    static const int days_in[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = c->year % 4 == 0 && (c->year % 100 != 0 || c->year % 400 == 0);
    if (c->month < 1 || c->month > 12 || c->day < 1 || c->day > days_in[c->month - 1] ||
        (c->month == 2 && c->day == 29 && !leap) || c->hour < 0 || c->hour > 23 || c->minute < 0 ||
        c->minute > 59 || c->second < 0 || c->second > 59 || c->ms < 0 || c->ms > 999)
        return -EINVAL;
    int64_t of_day = ((c->hour * 60 + c->minute) * 60 + c->second) * INT64_C(1000) + c->ms;
    of_day -= (int64_t)utc_offset_min * 60000;
    int64_t days = days_from_date(c->year, c->month, c->day), ms;
    if (days < 0) {
        /* The first day that can be counted begins before the first millisecond that can. */
        days += 1;
        of_day -= MS_PER_DAY;
    }
    if (__builtin_mul_overflow(days, (int64_t)MS_PER_DAY, &ms) ||
        __builtin_add_overflow(ms, of_day, &ms))
        return -EINVAL;
    *ret_wall_ms = ms;
    return 0;
}

/* The nearest instant whose local year has four digits. */
static int64_t in_four_digits(int64_t wall_ms, int utc_offset_min)
{
    int64_t first = days_from_date(0, 1, 1) * MS_PER_DAY - (int64_t)utc_offset_min * 60000;
    int64_t last = first + (days_from_date(10000, 1, 1) - days_from_date(0, 1, 1)) * MS_PER_DAY - 1;
    return wall_ms < first ? first : wall_ms > last ? last : wall_ms;
}

void ush_time_format(int64_t wall_ms, int utc_offset_min, char out[32])
{
    assert(utc_offset_min > -1440 && utc_offset_min < 1440);
    struct ush_civil c = ush_civil_from_ms(in_four_digits(wall_ms, utc_offset_min), utc_offset_min);
    int n = snprintf(out, 32, "%04d-%02d-%02dT%02d:%02d:%02d", c.year, c.month, c.day, c.hour,
                     c.minute, c.second);
    if (c.ms)
        n += snprintf(out + n, 32 - (size_t)n, ".%03d", c.ms);
    int away = utc_offset_min < 0 ? -utc_offset_min : utc_offset_min;
    if (away)
        snprintf(out + n, 32 - (size_t)n, "%c%02d:%02d", utc_offset_min < 0 ? '-' : '+', away / 60,
                 away % 60);
    else
        snprintf(out + n, 32 - (size_t)n, "Z");
}

/* Takes exactly `width` digits. */
static bool take_digits(ush_text *t, size_t width, int *ret_value)
{
    if (t->len < width)
        return false;
    int value = 0;
    for (size_t i = 0; i < width; i++) {
        if (t->at[i] < '0' || t->at[i] > '9')
            return false;
        value = value * 10 + (t->at[i] - '0');
    }
    t->at += width;
    t->len -= width;
    *ret_value = value;
    return true;
}

static bool take_char(ush_text *t, char c)
{
    if (t->len == 0 || t->at[0] != c)
        return false;
    t->at++, t->len--;
    return true;
}

/* "HH:MM:SS" */
static bool take_clock(ush_text *t, struct ush_civil *c)
{
    return take_digits(t, 2, &c->hour) && take_char(t, ':') && take_digits(t, 2, &c->minute) &&
           take_char(t, ':') && take_digits(t, 2, &c->second);
}

static bool take_offset(ush_text *t, int *ret_min)
{
    *ret_min = 0;
    if (take_char(t, 'Z') || take_char(t, 'z'))
        return true;
    bool west = take_char(t, '-');
    int hours, minutes;
    if ((!west && !take_char(t, '+')) || !take_digits(t, 2, &hours) || !take_char(t, ':') ||
        !take_digits(t, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_min = (west ? -1 : 1) * (hours * 60 + minutes);
    return true;
}

int ush_time_parse(ush_text t, int64_t *ret_wall_ms)
{
    struct ush_civil c = {0};
    if (!take_digits(&t, 4, &c.year) || !take_char(&t, '-') || !take_digits(&t, 2, &c.month) ||
        !take_char(&t, '-') || !take_digits(&t, 2, &c.day) ||
        !(take_char(&t, 'T') || take_char(&t, 't')) || !take_clock(&t, &c))
        return -EINVAL;
    if (take_char(&t, '.')) {
        /* Any number of digits; what is finer than a millisecond is dropped. */
        int digit, weight = 100;
        if (!take_digits(&t, 1, &digit))
            return -EINVAL;
        do {
            c.ms += digit * weight;
            weight /= 10;
        } while (take_digits(&t, 1, &digit));
    }
    int offset_min;
    if (!take_offset(&t, &offset_min) || t.len)
        return -EINVAL;
    return ush_civil_to_ms(&c, offset_min, ret_wall_ms);
}

void ush_time_format_http(int64_t wall_ms, char out[30])
{
    struct ush_civil c = ush_civil_from_ms(in_four_digits(wall_ms, 0), 0);
    snprintf(out, 30, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", weekdays[c.weekday], c.day,
             months + 3 * (c.month - 1), c.year, c.hour, c.minute, c.second);
}

/* The weekday's name, in full or its first three letters. */
static bool take_weekday(ush_text *t, bool full, int *ret_weekday)
{
    for (int i = 0; i < 7; i++) {
        ush_text name = {weekdays[i], full ? strlen(weekdays[i]) : 3};
        if (ush_text_starts(*t, name)) {
            t->at += name.len;
            t->len -= name.len;
            *ret_weekday = i;
            return true;
        }
    }
    return false;
}

static bool take_month(ush_text *t, int *ret_month)
{
    for (int i = 0; i < 12; i++)
        if (ush_text_starts(*t, (ush_text){months + 3 * i, 3})) {
            t->at += 3;
            t->len -= 3;
            *ret_month = i + 1;
            return true;
        }
    return false;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", the form that everybody sends. */
static bool take_imf_date(ush_text t, struct ush_civil *c)
{
    return take_weekday(&t, false, &c->weekday) && take_char(&t, ',') && take_char(&t, ' ') &&
           take_digits(&t, 2, &c->day) && take_char(&t, ' ') && take_month(&t, &c->month) &&
           take_char(&t, ' ') && take_digits(&t, 4, &c->year) && take_char(&t, ' ') &&
           take_clock(&t, c) && ush_text_equal(t, USH_T(" GMT"));
}

/* "Sunday, 06-Nov-94 08:49:37 GMT". The century is fixed, not 50 years around now: no client that
 * still sends this form asks for anything but the past. */
static bool take_rfc850_date(ush_text t, struct ush_civil *c)
{
    if (!(take_weekday(&t, true, &c->weekday) && take_char(&t, ',') && take_char(&t, ' ') &&
          take_digits(&t, 2, &c->day) && take_char(&t, '-') && take_month(&t, &c->month) &&
          take_char(&t, '-') && take_digits(&t, 2, &c->year) && take_char(&t, ' ') &&
          take_clock(&t, c) && ush_text_equal(t, USH_T(" GMT"))))
        return false;
    c->year += c->year < 70 ? 2000 : 1900;
    return true;
}

/* "Sun Nov  6 08:49:37 1994", what C's asctime writes. */
static bool take_asctime_date(ush_text t, struct ush_civil *c)
{
    if (!take_weekday(&t, false, &c->weekday) || !take_char(&t, ' ') ||
        !take_month(&t, &c->month) || !take_char(&t, ' '))
        return false;
    bool day = take_char(&t, ' ') ? take_digits(&t, 1, &c->day) : take_digits(&t, 2, &c->day);
    return day && take_char(&t, ' ') && take_clock(&t, c) && take_char(&t, ' ') &&
           take_digits(&t, 4, &c->year) && t.len == 0;
}

int ush_time_parse_http(ush_text t, int64_t *ret_wall_ms)
{
    struct ush_civil c = {0};
    int64_t wall_ms;
    if (!take_imf_date(t, &c) && !take_rfc850_date(t, &c) && !take_asctime_date(t, &c))
        return -EINVAL;
    USH_TRY(ush_civil_to_ms(&c, 0, &wall_ms));
    if (ush_civil_from_ms(wall_ms, 0).weekday != c.weekday)
        return -EINVAL;
    *ret_wall_ms = wall_ms;
    return 0;
}
