/* SPDX-License-Identifier: GPL-2.0-only */
/* A timing wheel: see deadlines.h. */
#include "track/deadlines.h"

static uint64_t tick_of(uint64_t ns)
{
	return ns / DEADLINE_TICK_NS;
}

static uint32_t *slot_of(struct deadlines *wheel, uint64_t tick)
{
	return &wheel->slots[tick % DEADLINE_SLOTS];
}

static struct deadline *deadline_of(struct deadlines *wheel, uint32_t handle)
{
	return wheel->of(wheel->context, handle);
}

void deadlines_init(struct deadlines *wheel, struct deadline *(*of)(void *, uint32_t),
		    void *context)
{
	wheel->of = of;
	wheel->context = context;
	wheel->tick = 0;
	wheel->count = 0;
	for (uint32_t i = 0; i < DEADLINE_SLOTS; i++)
		wheel->slots[i] = DEADLINE_NONE;
}

void deadlines_drop(struct deadlines *wheel, uint32_t handle)
{
	struct deadline *deadline = deadline_of(wheel, handle);

	if (!deadline->due_ns)
		return;
	if (deadline->next != DEADLINE_NONE)
		deadline_of(wheel, deadline->next)->prev = deadline->prev;
	if (deadline->prev != DEADLINE_NONE)
		deadline_of(wheel, deadline->prev)->next = deadline->next;
	else
		*slot_of(wheel, tick_of(deadline->due_ns)) = deadline->next;
	deadline->due_ns = 0;
	wheel->count--;
}

void deadlines_set(struct deadlines *wheel, uint32_t handle, uint64_t due_ns)
{
	struct deadline *deadline = deadline_of(wheel, handle);
	uint32_t *slot;

	/* A slot that was served is not looked at for a whole turn: overdue goes to the next one. */
	if (tick_of(due_ns) < wheel->tick)
		due_ns = wheel->tick * DEADLINE_TICK_NS;
	if (deadline->due_ns == due_ns)
		return;
	deadlines_drop(wheel, handle);
	slot = slot_of(wheel, tick_of(due_ns));
	deadline->due_ns = due_ns;
	deadline->prev = DEADLINE_NONE;
	deadline->next = *slot;
	if (*slot != DEADLINE_NONE)
		deadline_of(wheel, *slot)->prev = handle;
	*slot = handle;
	wheel->count++;
}

/* First handle of the slot that is due: those of a later turn share it. */
static uint32_t first_due(struct deadlines *wheel, uint32_t handle, uint64_t now_ns)
{
	while (handle != DEADLINE_NONE && deadline_of(wheel, handle)->due_ns > now_ns)
		handle = deadline_of(wheel, handle)->next;
	return handle;
}

void deadlines_advance(struct deadlines *wheel, uint64_t now_ns,
		       void (*fire)(void *context, uint32_t handle, uint64_t now_ns))
{
	uint64_t now_tick = tick_of(now_ns);

	/* After a long pause one whole turn serves every slot. */
	if (wheel->tick + DEADLINE_SLOTS < now_tick)
		wheel->tick = now_tick - DEADLINE_SLOTS;
	while (wheel->tick < now_tick) {
		uint32_t *slot = slot_of(wheel, wheel->tick++);
		uint32_t handle;

		while ((handle = first_due(wheel, *slot, now_ns)) != DEADLINE_NONE) {
			deadlines_drop(wheel, handle);
			fire(wheel->context, handle, now_ns);
		}
	}
}

uint64_t deadlines_next(const struct deadlines *wheel)
{
	if (!wheel->count)
		return UINT64_MAX;
	for (uint32_t i = 0; i < DEADLINE_SLOTS; i++)
		if (wheel->slots[(wheel->tick + i) % DEADLINE_SLOTS] != DEADLINE_NONE)
			return (wheel->tick + i + 1) * DEADLINE_TICK_NS;
	return UINT64_MAX;
}
