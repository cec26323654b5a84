/*
 * map.c - text to pointer, open addressing with linear probing.
 *
 * Slots are a power of two, at most three quarters used, so a miss looks at few of them and all in
 * one or two cache lines. An entry lies at or behind the slot its hash names, with no empty slot
 * between. A deletion moves later entries of the run forward instead of leaving a tombstone, so the
 * map never decays however often entries come and go.
 *
 * Invariants
 * 1. value != NULL exactly in used slots; count is their number, never above max_entries.
 * 2. From an entry's home slot to its own slot every slot is used.
 * 3. slot_count is 0 or a power of two, and at least one slot is empty, so every probe ends.
 *
 * The hash is keyed: who does not know the seed cannot choose keys that share a slot. Both
 * multiplicands are masked with words made from the seed; with a public constant there (as in
 * older wyhash) a key that equals the constant would zero the product under every seed.
 *
 * It does not keep an order, own its keys, or shrink.
 */
#include "base/base.h"

#include <stdlib.h>

struct ush_map_slot {
    ush_text key; /* borrowed */
    void *value;  /* NULL: the slot is empty */
    uint64_t hash;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return v;
}

uint64_t ush_hash(const void *bytes, size_t n, uint64_t seed)
{
    const unsigned char *p = bytes;
    uint64_t k1 = mix(seed ^ UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xbf58476d1ce4e5b9));
    uint64_t k2 = mix(k1 ^ UINT64_C(0x94d049bb133111eb), UINT64_C(0xd6e8feb86659fd93));
    uint64_t h = seed ^ n;
    for (; n > 16; p += 16, n -= 16)
        h = mix(load(p, 8) ^ k1, load(p + 8, 8) ^ k2 ^ h);
    uint64_t low = n ? load(p, n < 8 ? n : 8) : 0, high = n > 8 ? load(p + 8, n - 8) : 0;
    h = mix(low ^ k1, high ^ k2 ^ h);
    return mix(h ^ k2, UINT64_C(0x9e3779b97f4a7c15) ^ k1);
}

void ush_map_init(struct ush_map *m, size_t max_entries, uint64_t seed)
{
    *m = (struct ush_map){.max_entries = max_entries, .seed = seed};
}

void ush_map_fini(struct ush_map *m)
{
    free(m->slots);
    *m = (struct ush_map){0};
}

/* The slot that holds key, or the empty one where it would go. Needs slots. */
static struct ush_map_slot *find(const struct ush_map *m, ush_text key, uint64_t hash)
{
    size_t mask = m->slot_count - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct ush_map_slot *s = &m->slots[i];
        if (!s->value || (s->hash == hash && ush_text_equal(s->key, key)))
            return s;
    }
}

void *ush_map_get(const struct ush_map *m, ush_text key)
{
    return m->count ? find(m, key, ush_hash(key.at, key.len, m->seed))->value : NULL;
}

static int grow(struct ush_map *m)
{
    struct ush_map bigger = *m;
    bigger.slot_count = m->slot_count ? m->slot_count * 2 : 16;
    bigger.slots = calloc(bigger.slot_count, sizeof *bigger.slots);
    if (!bigger.slots)
        return USH_EFULL;
    for (size_t i = 0; i < m->slot_count; i++)
        if (m->slots[i].value)
            *find(&bigger, m->slots[i].key, m->slots[i].hash) = m->slots[i];
    free(m->slots);
    *m = bigger;
    return 0;
}

int ush_map_set(struct ush_map *m, ush_text key, void *value)
{
    assert(value);
    uint64_t hash = ush_hash(key.at, key.len, m->seed);
    struct ush_map_slot *s = m->slots ? find(m, key, hash) : NULL;
    if (!s || !s->value) {
        if (m->count >= m->max_entries)
            return USH_EFULL;
        if (m->count >= m->slot_count / 4 * 3) {
            USH_TRY(grow(m));
            s = find(m, key, hash);
        }
        m->count++;
    }
    *s = (struct ush_map_slot){.key = key, .value = value, .hash = hash};
    return 0;
}

void *ush_map_del(struct ush_map *m, ush_text key)
{
    struct ush_map_slot *s = m->count ? find(m, key, ush_hash(key.at, key.len, m->seed)) : NULL;
    void *value = s ? s->value : NULL;
    if (!value)
        return NULL;
    m->count--;
    size_t mask = m->slot_count - 1, hole = (size_t)(s - m->slots);
    for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        /* An entry may move into the hole if its home does not lie behind it. */
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct ush_map_slot){0};
    return value;
}

void *ush_map_next(const struct ush_map *m, size_t *cursor, ush_text *ret_key)
{
    while (*cursor < m->slot_count) {
        const struct ush_map_slot *s = &m->slots[(*cursor)++];
        if (s->value) {
            if (ret_key)
                *ret_key = s->key;
            return s->value;
        }
    }
    return NULL;
}
