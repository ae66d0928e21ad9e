package io.heronshim.instance;

import java.util.List;
import java.util.Map;

/**
 * What a component's host needs to know of one task.
 *
 * @param executorTasks tasks of the executor, ascending
 * @param executorData shared by the tasks of one executor
 */
public record TaskContext(
    Plan plan,
    String topologyId,
    int task,
    String component,
    List<Integer> executorTasks,
    List<Integer> processTasks,
    Map<String, Object> executorData,
    int container) {}
