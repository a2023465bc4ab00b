/* SPDX-License-Identifier: GPL-2.0-only */
/* How a captured connection begins, and what it must have heard unseen: see on_capture.c. */
#include "tcp/classify.h"
#include "track/tracker_parts.h"

/* Both are ESTABLISHED, as far as the segment knows. */
static void adopt_established(struct tracker *tracker, struct conn *conn,
			      const struct rec_segment *rec, bool sent)
{
	struct endpoint_facts facts = { .known = sent ? KNOWN_SND_NXT : KNOWN_RCV_NXT };

	facts.snd_nxt = sent ? rec->seq : rec->ack;
	facts.rcv_nxt = sent ? rec->ack : rec->seq;
	if (rec->tcp_flags & TCPF_ACK)
		facts.known = KNOWN_SND_NXT | KNOWN_RCV_NXT;
	tracker_adopt_wire(tracker, conn, FSM_ESTABLISHED, &facts);
}

void tracker_start_captured(struct tracker *tracker, struct conn *conn,
			    const struct observation *seen)
{
	const struct rec_segment *rec = seen->segment;
	bool syn = segment_is_syn(rec), synack = segment_is_synack(rec);

	if (!syn && !synack) {
		conn_set_unobservable(conn, UNOBSERVABLE_ADOPTED);
		adopt_established(tracker, conn, rec, seen->sent);
		return;
	}
	conn->role = seen->sent == syn ? ROLE_CLIENT : ROLE_SERVER;
	tracker_count_opened(tracker, conn, conn->role);
	conn->flags |= CONN_WIRE_SEEN | (syn ? CONN_HANDSHAKE_SEEN : 0);
	if (synack && !seen->sent) {
		const struct endpoint_facts facts = { .known = KNOWN_SND_UNA | KNOWN_SND_NXT,
						      .snd_una = rec->ack - 1,
						      .snd_nxt = rec->ack };

		tracker_adopt_wire(tracker, conn, FSM_SYN_SENT, &facts);
		return;
	}
	dialogue_init(&conn->talk, conn->role == ROLE_CLIENT ? FSM_CLOSED : FSM_LISTEN,
		      conn->role == ROLE_CLIENT ? FSM_LISTEN : FSM_CLOSED, false);
}

/* An end in SYN_SENT acknowledges: a SYN-ACK has reached it that passed unseen. */
static void complete_handshake(struct tracker *tracker, struct conn *conn,
			       const struct rec_segment *rec, bool sent)
{
	struct tcp_endpoint *client, *server;

	if (sent)
		state_path_push(&conn->remote_path, FSM_SYN_RECEIVED);
	else
		tracker_adopt_wire(tracker, conn, FSM_SYN_RECEIVED, &(struct endpoint_facts){ 0 });
	adopt_established(tracker, conn, rec, sent);
	client = sent ? &conn->talk.local : &conn->talk.remote;
	server = sent ? &conn->talk.remote : &conn->talk.local;
	client->iss = server->irs = rec->seq - 1;
	server->iss = client->irs = rec->ack - 1;
	client->known |= KNOWN_ISS | KNOWN_IRS;
	server->known |= KNOWN_ISS | KNOWN_IRS;
}

static bool is_gap(const struct tcp_endpoint *from, const struct tcp_endpoint *to, seq_t ack)
{
	if (from->state < FSM_SYN_RECEIVED || to->state < FSM_SYN_RECEIVED)
		return false;
	/* Nothing comes behind a FIN. */
	if (!(to->known & KNOWN_SND_NXT) || to->flags & EP_FIN_SENT || !seq_gt(ack, to->snd_nxt))
		return false;
	return !(from->known & KNOWN_RCV_EDGE) || seq_le(ack, from->rcv_edge);
}

void tracker_fill_gap(struct tracker *tracker, struct conn *conn, const struct tcp_segment *segment,
		      const struct observation *seen)
{
	struct tcp_dialogue *talk = &conn->talk;
	const struct tcp_endpoint *from = seen->sent ? &talk->local : &talk->remote;
	const struct tcp_endpoint *to = seen->sent ? &talk->remote : &talk->local;
	struct dialogue_steps steps;
	struct tcp_segment unseen;

	if ((segment->flags & (TCPF_ACK | TCPF_SYN | TCPF_RST)) != TCPF_ACK)
		return;
	if (from->state == FSM_SYN_SENT && to->state <= FSM_LISTEN) {
		complete_handshake(tracker, conn, seen->segment, seen->sent);
	} else if (is_gap(from, to, segment->ack)) {
		unseen = (struct tcp_segment){
			.seq = to->snd_nxt,
			.ack = from->state == FSM_SYN_RECEIVED ? from->iss + 1 : from->snd_una,
			.len = segment->ack - to->snd_nxt,
			.window = UINT16_MAX,
			.flags = TCPF_ACK,
		};
		if (seen->sent)
			dialogue_received(talk, &unseen, &steps);
		else
			dialogue_sent(talk, &unseen, &steps);
		tracker_take_steps(tracker, conn, &steps, seen->ts_ns);
	} else {
		return;
	}
	tracker->stats.gaps++;
	conn_set_unobservable(conn, UNOBSERVABLE_LOSS);
}
