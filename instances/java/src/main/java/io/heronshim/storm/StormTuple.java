package io.heronshim.storm;

import io.heronshim.instance.Anchor;
import io.heronshim.instance.BoltCollector;
import io.heronshim.instance.InputTuple;
import java.util.HashMap;
import java.util.Map;
import org.apache.storm.task.GeneralTopologyContext;
import org.apache.storm.tuple.MessageId;
import org.apache.storm.tuple.Tuple;
import org.apache.storm.tuple.TupleImpl;

/** A row as Storm's bolts know it. */
final class StormTuple extends TupleImpl implements Anchor {
  private final InputTuple input;

  StormTuple(GeneralTopologyContext context, InputTuple input) {
    super(
        context,
        input.values(),
        input.component(),
        input.task(),
        input.stream(),
        messageId(input));
    this.input = input;
  }

  private static MessageId messageId(InputTuple input) {
    if (input.rootCount() == 0) {
      return MessageId.makeUnanchored();
    }
    if (input.rootCount() == 1) {
      return MessageId.makeRootId(input.root(0), input.edge(0));
    }
    Map<Long, Long> pairs = new HashMap<>();
    for (int index = 0; index < input.rootCount(); index++) {
      pairs.put(input.root(index), input.edge(index));
    }
    return MessageId.makeId(pairs);
  }

  /** Any tuple of Storm's as an anchor: windows and state make tuples of their own. */
  static Anchor anchor(Tuple tuple) {
    return tuple instanceof StormTuple own ? own : new OtherTuple(tuple);
  }

  /** Acks all trees of a tuple. */
  static void ack(Tuple tuple, BoltCollector collector) {
    if (tuple instanceof StormTuple own) {
      long children = own.input.children();
      for (int index = 0; index < own.input.rootCount(); index++) {
        collector.ack(own.input.root(index), own.input.edge(index) ^ children);
      }
    } else {
      long children = tuple instanceof TupleImpl other ? other.getAckVal() : 0;
      tuple
          .getMessageId()
          .getAnchorsToIds()
          .forEach((root, edge) -> collector.ack(root, edge ^ children));
    }
    collector.countAck();
  }

  @Override
  public int rootCount() {
    return input.rootCount();
  }

  @Override
  public long root(int index) {
    return input.root(index);
  }

  @Override
  public void addChild(long edge) {
    input.addChild(edge);
  }

  /** A tuple that was not made here. */
  private static final class OtherTuple implements Anchor {
    private final Tuple tuple;
    private final Long[] roots;

    OtherTuple(Tuple tuple) {
      this.tuple = tuple;
      this.roots = tuple.getMessageId().getAnchors().toArray(new Long[0]);
    }

    @Override
    public int rootCount() {
      return roots.length;
    }

    @Override
    public long root(int index) {
      return roots[index];
    }

    @Override
    public void addChild(long edge) {
      if (tuple instanceof TupleImpl other) {
        other.updateAckVal(edge);
      }
    }
  }

  // Equality of TupleImpl is identity; made explicit since this class has a field more.
  @Override
  public boolean equals(Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return System.identityHashCode(this);
  }
}
