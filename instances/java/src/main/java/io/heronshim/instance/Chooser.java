package io.heronshim.instance;

import java.util.List;

/** From a tuple's values to the tasks of one consumer that get it. */
public interface Chooser {
  /** The tasks, in the order of emit's result. */
  List<Integer> choose(List<Object> values);
}
