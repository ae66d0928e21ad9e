package io.heronshim.instance;

import io.heronshim.codec.OpaqueValues;
import java.util.List;

/** Makes an author's components; one implementation for each generation of Storm's client. */
public interface ComponentHost {
  /** The spout of a task, not opened. */
  SpoutComponent spout(TaskContext context);

  /** The bolt of a task, not prepared. */
  BoltComponent bolt(TaskContext context);

  /** An author's grouping, prepared for one emitting task. */
  Chooser grouping(Plan plan, int task, Plan.Consumer consumer, List<Integer> targets);

  /** What serializes values that only Java reads. */
  OpaqueValues opaqueValues();
}
