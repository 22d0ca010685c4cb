#include <stdlib.h>
#include <string.h>

#include "agent/mux-internal.h"

/* From this many bytes of waste on, what is left moves to the front. */
#define FIFO_WASTE MUX_QUEUE

void fifo_clear(struct fifo *q)
{
	free(q->data);
	*q = (struct fifo){ 0 };
}

uint8_t *fifo_space(struct fifo *q, size_t len)
{
	if (q->cap - q->len < len) {
		q->cap = q->len + len + q->len / 2;
		q->data = xrealloc(q->data, q->cap);
	}
	return q->data + q->len;
}

void fifo_add(struct fifo *q, const void *data, size_t len)
{
	memcpy(fifo_space(q, len), data, len);
	q->len += len;
}

void fifo_drop(struct fifo *q, size_t len)
{
	q->head += len;
	if (q->head == q->len) {
		fifo_clear(q);
	} else if (q->head >= FIFO_WASTE && q->head > q->len / 2) {
		memmove(q->data, q->data + q->head, q->len - q->head);
		q->len -= q->head;
		q->head = 0;
	}
}
