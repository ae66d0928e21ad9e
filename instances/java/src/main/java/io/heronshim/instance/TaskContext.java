package io.heronshim.instance;

import java.util.Map;

/**
 * What a component's host needs to know of one task.
 *
 * @param executorData shared by the tasks of one executor
 */
public record TaskContext(
    Plan plan,
    int task,
    String component,
    Map<String, Object> executorData,
    int container) {}
