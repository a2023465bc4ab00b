/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests to the data thread. A letter belongs to whoever sees it last: the caller, or, when
 * the caller gave up while it ran, the data thread. */
#include "export/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum letter_state {
	LETTER_QUEUED,
	LETTER_RUNNING,
	LETTER_DONE,
	LETTER_ABANDONED, /* running, and nobody waits for it */
};

struct letter {
	struct letter *next;
	enum letter_state state;
	void (*run)(void *request);
	void (*release)(void *request);
	void *request;
};

struct mailbox {
	pthread_mutex_t lock; /* all below */
	pthread_cond_t answered;
	struct letter *head, **tail;
	bool closed;
	int fd;
};

struct mailbox *mailbox_new(void)
{
	struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
	pthread_condattr_t attributes;

	if (!mailbox)
		return NULL;
	mailbox->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (mailbox->fd < 0) {
		free(mailbox);
		return NULL;
	}
	mailbox->tail = &mailbox->head;
	pthread_mutex_init(&mailbox->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&mailbox->answered, &attributes);
	pthread_condattr_destroy(&attributes);
	return mailbox;
}

void mailbox_free(struct mailbox *mailbox)
{
	if (!mailbox)
		return;
	pthread_cond_destroy(&mailbox->answered);
	pthread_mutex_destroy(&mailbox->lock);
	close(mailbox->fd);
	free(mailbox);
}

int mailbox_fd(const struct mailbox *mailbox)
{
	return mailbox->fd;
}

static void unlink_letter(struct mailbox *mailbox, struct letter *letter)
{
	struct letter **at = &mailbox->head;

	while (*at != letter)
		at = &(*at)->next;
	*at = letter->next;
	if (!*at)
		mailbox->tail = at;
}

void mailbox_serve(struct mailbox *mailbox)
{
	eventfd_t count;
	struct letter *letter;

	/* Emptied before the queue is: a letter that comes later rings again. */
	eventfd_read(mailbox->fd, &count);
	pthread_mutex_lock(&mailbox->lock);
	while ((letter = mailbox->head)) {
		unlink_letter(mailbox, letter);
		letter->state = LETTER_RUNNING;
		pthread_mutex_unlock(&mailbox->lock);
		letter->run(letter->request);
		pthread_mutex_lock(&mailbox->lock);
		if (letter->state == LETTER_ABANDONED) {
			letter->release(letter->request);
			free(letter);
			continue;
		}
		letter->state = LETTER_DONE;
		pthread_cond_broadcast(&mailbox->answered);
	}
	pthread_mutex_unlock(&mailbox->lock);
}

void mailbox_close(struct mailbox *mailbox)
{
	pthread_mutex_lock(&mailbox->lock);
	mailbox->closed = true;
	pthread_cond_broadcast(&mailbox->answered);
	pthread_mutex_unlock(&mailbox->lock);
}

static struct timespec deadline_after(unsigned int timeout_ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += timeout_ms / 1000;
	at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

/* Called locked. Waits until the letter is done, time is up, or the mailbox closes. */
static int await_answer(struct mailbox *mailbox, const struct letter *letter,
			unsigned int timeout_ms)
{
	struct timespec deadline = deadline_after(timeout_ms);
	int err = 0;

	while (letter->state != LETTER_DONE && !mailbox->closed && !err)
		err = pthread_cond_timedwait(&mailbox->answered, &mailbox->lock, &deadline);
	if (letter->state == LETTER_DONE)
		return 0;
	return mailbox->closed ? -ESHUTDOWN : -ETIMEDOUT;
}

int mailbox_call(struct mailbox *mailbox, void (*run)(void *request), void *request,
		 void (*release)(void *request), unsigned int timeout_ms)
{
	struct letter *letter = calloc(1, sizeof(*letter));
	int err;

	if (!letter) {
		release(request);
		return -ENOMEM;
	}
	*letter = (struct letter){ .run = run, .release = release, .request = request };

	pthread_mutex_lock(&mailbox->lock);
	*mailbox->tail = letter;
	mailbox->tail = &letter->next;
	eventfd_write(mailbox->fd, 1);
	err = await_answer(mailbox, letter, timeout_ms);
	if (err && letter->state == LETTER_RUNNING) {
		letter->state = LETTER_ABANDONED;
		pthread_mutex_unlock(&mailbox->lock);
		return err;
	}
	if (err) {
		unlink_letter(mailbox, letter);
		release(request);
	}
	pthread_mutex_unlock(&mailbox->lock);
	free(letter);
	return err;
}
