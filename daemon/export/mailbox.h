/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How another thread asks the data thread for something: a function to run there, a request it
 * may read and fill, a wait with an end. The data thread owns all state and takes no lock of it.
 */
#ifndef TCPWITNESS_MAILBOX_H
#define TCPWITNESS_MAILBOX_H

struct mailbox;

/* NULL and errno on failure. */
struct mailbox *mailbox_new(void);
/* Nobody may be in mailbox_call any more. NULL is fine. */
void mailbox_free(struct mailbox *mailbox);

/* Readable while letters wait: for the data thread's epoll. Owned by the mailbox. */
int mailbox_fd(const struct mailbox *mailbox);

/* Data thread: run what is waiting. */
void mailbox_serve(struct mailbox *mailbox);

/* No more letters: those who wait return -ESHUTDOWN, as does every later call. */
void mailbox_close(struct mailbox *mailbox);

/*
 * Any other thread: have run(request) called in the data thread and wait for it. 0: it has run,
 * and the request is the caller's. -ETIMEDOUT, -ESHUTDOWN, -ENOMEM: the request is the caller's
 * no longer; release(request) has been called, or will be when a run that had begun ends.
 */
int mailbox_call(struct mailbox *mailbox, void (*run)(void *request), void *request,
		 void (*release)(void *request), unsigned int timeout_ms);

#endif
