package io.heronshim.instance;

import io.heronshim.codec.DataBatches;
import io.heronshim.stream.FailFast;
import io.heronshim.stream.Frame;
import io.heronshim.stream.Kind;
import io.heronshim.stream.RemoteProtocolError;
import io.heronshim.wire.v1.EventReport;
import io.heronshim.wire.v1.LossNotice;
import io.heronshim.wire.v1.LossNoticeAck;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * Losses that this process sees itself or hears of: own spouts hear of a loss at once, the stream
 * manager until it acknowledges the notice. IO lock held.
 */
final class InstanceLosses {
  private static final long REPEAT_NS = 200_000_000;
  private static final int NOTICES_MAX = 64;
  private static final int SEEN_MAX = 4096;
  private static final int LINES_MAX = 20;
  private static final long LINES_NS = 1_000_000_000;
  private static final int EVENTS_MAX = 100;

  /** A notice of this process, and when it is sent next. */
  private static final class Waiting {
    final LossNotice notice;
    long dueNs;

    Waiting(LossNotice notice) {
      this.notice = notice;
    }
  }

  private final String prefix;
  private final Collection<Integer> tasks;
  private final Deque<Waiting> waiting = new ArrayDeque<>();
  private final Set<String> seen = new LinkedHashSet<>();
  private final List<Frame> acks = new ArrayList<>();
  private final List<EventReport> events = new ArrayList<>();
  private final LogLimit lines = new LogLimit(LINES_MAX, LINES_NS);
  private Collection<? extends Task> ownTasks = List.of();
  private Plan plan;
  private int number;

  InstanceLosses(String process, long incarnation, Collection<Integer> tasks) {
    this.prefix = process + "/" + incarnation;
    this.tasks = new TreeSet<>(tasks);
  }

  void setPlan(Plan newPlan) {
    plan = newPlan;
  }

  void setTasks(Collection<? extends Task> opened) {
    ownTasks = opened;
  }

  /** Frames of the link are lost, or it ended without a bye that says they came. */
  void onLinkLost(String cause, long nowNs) {
    if (plan == null) {
      // Before the first plan nothing was sent.
      return;
    }
    String before = "";
    if (waiting.size() >= NOTICES_MAX) {
      before = waiting.removeLast().notice.getCause();
    }
    number++;
    LossNotice notice =
        LossNotice.newBuilder()
            .setId(prefix + "/" + number)
            .addAllSources(tasks)
            .addAllDestinations(tasks)
            .setCause(FailFast.joinedCause(before, cause))
            .build();
    waiting.addLast(new Waiting(notice));
    remember(notice.getId());
    apply(notice, nowNs);
  }

  /** Acknowledges each copy of a notice of the stream manager, applies the first. */
  void onNotice(byte[] payload, long nowNs) {
    LossNotice notice = DataBatches.parse(LossNotice.parser(), payload, "LossNotice");
    if (notice.getId().isEmpty()) {
      throw new RemoteProtocolError("LossNotice has no id");
    }
    LossNoticeAck ack = LossNoticeAck.newBuilder().setId(notice.getId()).build();
    acks.add(new Frame(Kind.LOSS_NOTICE_ACK, 0, 0, ack.toByteArray()));
    if (remember(notice.getId())) {
      apply(notice, nowNs);
    }
  }

  /** The stream manager has a notice. */
  void onAck(byte[] payload) {
    LossNoticeAck ack = DataBatches.parse(LossNoticeAck.parser(), payload, "LossNoticeAck");
    if (ack.getId().isEmpty()) {
      throw new RemoteProtocolError("LossNoticeAck has no id");
    }
    waiting.removeIf(one -> one.notice.getId().equals(ack.getId()));
  }

  /** Sends at once what the stream manager has not acknowledged. */
  void onNewLink() {
    waiting.forEach(one -> one.dueNs = 0);
  }

  /** Acknowledgements, and the notices that are due. */
  List<Frame> takeFrames(long nowNs) {
    if (acks.isEmpty() && waiting.isEmpty()) {
      return List.of();
    }
    List<Frame> frames = new ArrayList<>(acks);
    acks.clear();
    for (Waiting one : waiting) {
      if (nowNs >= one.dueNs) {
        one.dueNs = nowNs + REPEAT_NS;
        frames.add(new Frame(Kind.LOSS_NOTICE, 0, 0, one.notice.toByteArray()));
      }
    }
    return frames;
  }

  /** When a notice is to be repeated. */
  long nextDeadlineNs() {
    return waiting.stream().mapToLong(one -> one.dueNs).min().orElse(Long.MAX_VALUE);
  }

  /** Trees of a spout failed after their grace. */
  void onTreesFailed(TaskContext context, int trees, String cause) {
    Log.warning("trees_failed_on_loss", "task", context.task(), "trees", trees, "cause", cause);
    if (events.size() < EVENTS_MAX) {
      number++;
      events.add(
          EventReport.newBuilder()
              .setId(prefix + "/event/" + number)
              .setTimeMs(System.currentTimeMillis())
              .setKind("trees_failed_on_loss")
              .setComponent(context.component())
              .setTask(context.task())
              .setCause(cause)
              .putNumbers("trees", trees)
              .build());
    }
  }

  /** Returns and forgets lines of the topology's history. */
  List<EventReport> takeEvents() {
    List<EventReport> taken = new ArrayList<>(events);
    events.clear();
    return taken;
  }

  private boolean remember(String id) {
    if (!seen.add(id)) {
      return false;
    }
    if (seen.size() > SEEN_MAX) {
      seen.remove(seen.iterator().next());
    }
    return true;
  }

  private void apply(LossNotice notice, long nowNs) {
    if (lines.allows(nowNs)) {
      Log.warning("loss_noticed", "id", notice.getId(), "cause", notice.getCause());
    }
    if (plan == null) {
      return;
    }
    Set<Integer> hit =
        plan.spoutTasksHit(notice.getSourcesList(), notice.getDestinationsList());
    for (Task task : ownTasks) {
      if (hit.contains(task.id())) {
        task.onLoss(notice.getCause(), nowNs);
      }
    }
  }
}
