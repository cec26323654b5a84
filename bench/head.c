/*
 * head.c - how long the parser of a request head takes: nanoseconds per head and bytes per
 * nanosecond, the median of several rounds with the fastest and slowest beside it.
 *
 * Two heads: what curl and load generators send, and what a browser sends with a form. The third
 * line feeds the browser's head byte by byte, which must cost per byte what a short call costs, not
 * more with every byte that came before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "usher/http.h"

static const char curl_head[] = "GET /events/robotics?lang=en HTTP/1.1\r\n"
                                "Host: 127.0.0.1:8080\r\n"
                                "User-Agent: curl/7.88.1\r\n"
                                "Accept: */*\r\n"
                                "Accept-Encoding: gzip\r\n"
                                "Connection: keep-alive\r\n"
                                "\r\n";

static const char browser_head[] =
    "POST /e/robotics-challenge/register HTTP/1.1\r\n"
    "Host: fest.example.org\r\n"
    "Connection: keep-alive\r\n"
    "Content-Length: 187\r\n"
    "Cache-Control: max-age=0\r\n"
    "Origin: https://fest.example.org\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\n"
    "User-Agent: Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Mobile Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
    "\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-User: ?1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Referer: https://fest.example.org/e/robotics-challenge/register\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-IN,en;q=0.9,hi;q=0.8\r\n"
    "Cookie: theme=dark; draft=8f14e45fceea167a5a36dedd4bea2543\r\n"
    "\r\n";

enum { ROUNDS = 15 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(bool is_true)
{
    if (!is_true) {
        fputs("bench/head: a head was not parsed\n", stderr);
        exit(1);
    }
}

static void whole(ush_text bytes)
{
    static struct ush_head head; /* a server has it in the memory of its request */
    size_t scanned = 0;
    must(ush_head_parse(bytes, &ush_http_limits_direct, &scanned, &head) == (int)bytes.len);
}

static void by_byte(ush_text bytes)
{
    static struct ush_head head; /* a server has it in the memory of its request */
    size_t scanned = 0;
    int r = 0;
    for (size_t n = 1; n <= bytes.len; n++)
        r = ush_head_parse((ush_text){bytes.at, n}, &ush_http_limits_direct, &scanned, &head);
    must(r == (int)bytes.len);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *name, void (*parse)(ush_text), const char *text, int times)
{
    ush_text bytes = ush_text_of(text);
    double ns[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (int i = 0; i < times; i++)
            parse(bytes);
        ns[round] = (now_ns() - start) / times;
    }
    qsort(ns, ROUNDS, sizeof ns[0], by_value);
    double median = ns[ROUNDS / 2];
    printf("%-28s %6zu bytes %9.1f ns (%.1f to %.1f) %6.2f bytes/ns\n", name, bytes.len, median,
           ns[0], ns[ROUNDS - 1], (double)bytes.len / median);
}

int main(void)
{
    measure("head, as curl sends it", whole, curl_head, 400000);
    measure("head, as a browser sends it", whole, browser_head, 100000);
    measure("the same, byte by byte", by_byte, browser_head, 400);
    return 0;
}
