/*
 * Dates as ISO 8601 text, and back, over the whole range of a BSON date.
 *
 * Days and civil dates are converted in eras of 400 years of the proleptic Gregorian calendar (146097 days), counted
 * from 1 March of year 0, which puts the leap day at the end of a year.
 */
#include "bson/number_text.h"

#include <charconv>

namespace mongoferry::bson {

namespace {

__extension__ typedef __int128 int128;

constexpr int64_t milliseconds_a_day = 86'400'000;
constexpr int64_t days_an_era = 146'097;
constexpr int64_t days_to_1970 = 719'468; /* from 0000-03-01 */

struct CivilDate {
    int64_t year;
    int month;
    int day;
};

int64_t floor_divide(int64_t dividend, int64_t divisor) noexcept {
    const int64_t quotient = dividend / divisor;
    return dividend % divisor < 0 ? quotient - 1 : quotient;
}

CivilDate civil_from_days(int64_t days_since_1970) noexcept {
    const int64_t days = days_since_1970 + days_to_1970;
    const int64_t era = floor_divide(days, days_an_era);
    const int64_t day_of_era = days - era * days_an_era;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (days_an_era - 1)) / 365;
    const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month_from_march = (5 * day_of_year + 2) / 153;
    const int day = static_cast<int>(day_of_year - (153 * month_from_march + 2) / 5) + 1;
    const int month = static_cast<int>(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

int64_t days_from_civil(const CivilDate &date) noexcept {
    const int64_t year = date.year - (date.month <= 2 ? 1 : 0);
    const int64_t era = floor_divide(year, 400);
    const int64_t year_of_era = year - era * 400;
    const int64_t month_from_march = date.month > 2 ? date.month - 3 : date.month + 9;
    const int64_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * days_an_era + day_of_era - days_to_1970;
}

bool is_leap_year(int64_t year) noexcept {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int days_of_month(int64_t year, int month) noexcept {
    constexpr int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap_year(year) ? 29 : days[month - 1];
}

/* value with exactly this many digits, zeros in front. */
char *write_padded(char *out, int64_t value, int digits) noexcept {
    for (int i = digits - 1; i >= 0; --i, value /= 10)
        out[i] = static_cast<char>('0' + value % 10);
    return out + digits;
}

bool is_digit(char character) noexcept {
    return character >= '0' && character <= '9';
}

/* Takes a text apart from its front. */
class Reader {
public:
    explicit Reader(std::string_view text) noexcept : text_(text) {}
    bool at_end() const noexcept { return text_.empty(); }
    char front() const noexcept { return text_.empty() ? '\0' : text_.front(); }
    bool skip(char character) noexcept {
        if (text_.empty() || text_.front() != character)
            return false;
        text_.remove_prefix(1);
        return true;
    }
    /* Exactly so many digits. */
    bool number(int digits, int *value) noexcept {
        if (text_.size() < static_cast<size_t>(digits))
            return false;
        *value = 0;
        for (int i = 0; i < digits; ++i) {
            if (!is_digit(text_[static_cast<size_t>(i)]))
                return false;
            *value = *value * 10 + (text_[static_cast<size_t>(i)] - '0');
        }
        text_.remove_prefix(static_cast<size_t>(digits));
        return true;
    }
    size_t digits_ahead() const noexcept {
        size_t count = 0;
        while (count < text_.size() && is_digit(text_[count]))
            ++count;
        return count;
    }

private:
    std::string_view text_;
};

/* Four digits, or a sign and six to nine of them; after a minus four do, as mongoexport of MongoDB 4.0 and before
 * wrote. */
bool parse_year(Reader &reader, int64_t *year) noexcept {
    int value;
    const char sign = reader.front();
    if (sign == '+' || sign == '-') {
        reader.skip(sign);
        const size_t digits = reader.digits_ahead();
        if (digits < (sign == '-' ? 4 : 6) || digits > 9 || !reader.number(static_cast<int>(digits), &value))
            return false;
        *year = sign == '-' ? -value : value;
        return true;
    }
    if (reader.digits_ahead() != 4 || !reader.number(4, &value))
        return false;
    *year = value;
    return true;
}

/* Z or ±HH:MM, ±HHMM, ±HH. */
bool parse_offset(Reader &reader, int *minutes) noexcept {
    *minutes = 0;
    if (reader.skip('Z') || reader.skip('z'))
        return true;
    const char sign = reader.front();
    if (sign != '+' && sign != '-')
        return false;
    reader.skip(sign);
    int hour;
    int minute = 0;
    if (!reader.number(2, &hour) || hour > 23)
        return false;
    if (!reader.at_end()) {
        reader.skip(':');
        if (!reader.number(2, &minute) || minute > 59)
            return false;
    }
    *minutes = (sign == '-' ? -1 : 1) * (hour * 60 + minute);
    return true;
}

} // namespace

size_t write_iso_date(int64_t milliseconds_since_1970, char *buffer) noexcept {
    const int64_t days = floor_divide(milliseconds_since_1970, milliseconds_a_day);
    /* days * milliseconds_a_day may be below int64's range where the time itself is not */
    const int64_t time = ((milliseconds_since_1970 % milliseconds_a_day) + milliseconds_a_day) % milliseconds_a_day;
    const CivilDate date = civil_from_days(days);
    char *out = buffer;
    if (date.year >= 0 && date.year <= 9999) {
        out = write_padded(out, date.year, 4);
    } else {
        const int64_t year = date.year < 0 ? -date.year : date.year;
        *out++ = date.year < 0 ? '-' : '+';
        out = write_padded(out, year, year > 99'999'999 ? 9 : year > 9'999'999 ? 8 : year > 999'999 ? 7 : 6);
    }
    *out++ = '-';
    out = write_padded(out, date.month, 2);
    *out++ = '-';
    out = write_padded(out, date.day, 2);
    *out++ = 'T';
    out = write_padded(out, time / 3'600'000, 2);
    *out++ = ':';
    out = write_padded(out, time / 60'000 % 60, 2);
    *out++ = ':';
    out = write_padded(out, time / 1000 % 60, 2);
    *out++ = '.';
    out = write_padded(out, time % 1000, 3);
    *out++ = 'Z';
    *out = 0;
    return static_cast<size_t>(out - buffer);
}

bool parse_iso_date(std::string_view text, int64_t *milliseconds_since_1970) noexcept {
    Reader reader(text);
    CivilDate date;
    if (!parse_year(reader, &date.year) || !reader.skip('-') || !reader.number(2, &date.month) || date.month < 1 ||
        date.month > 12 || !reader.skip('-') || !reader.number(2, &date.day) || date.day < 1 ||
        date.day > days_of_month(date.year, date.month))
        return false;
    if (!reader.skip('T') && !reader.skip('t'))
        return false;
    int hour;
    int minute;
    int second;
    if (!reader.number(2, &hour) || hour > 23 || !reader.skip(':') || !reader.number(2, &minute) || minute > 59 ||
        !reader.skip(':') || !reader.number(2, &second) || second > 59)
        return false;
    int millisecond = 0;
    if (reader.skip('.')) {
        const size_t digits = reader.digits_ahead();
        int fraction = 0;
        if (digits < 1 || digits > 9 || !reader.number(static_cast<int>(digits), &fraction))
            return false;
        for (size_t i = digits; i < 9; ++i)
            fraction *= 10;
        millisecond = fraction / 1'000'000;
    }
    int offset_minutes;
    if (!parse_offset(reader, &offset_minutes) || !reader.at_end())
        return false;

    const int64_t time = ((hour * int64_t{60} + minute - offset_minutes) * 60 + second) * 1000 + millisecond;
    const int128 milliseconds = static_cast<int128>(days_from_civil(date)) * milliseconds_a_day + time;
    if (milliseconds < INT64_MIN || milliseconds > INT64_MAX)
        return false;
    *milliseconds_since_1970 = static_cast<int64_t>(milliseconds);
    return true;
}

} // namespace mongoferry::bson
