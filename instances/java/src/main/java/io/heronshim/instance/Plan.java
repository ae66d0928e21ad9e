package io.heronshim.instance;

import io.heronshim.codec.DataBatches;
import io.heronshim.stream.RemoteProtocolError;
import io.heronshim.wire.v1.Component;
import io.heronshim.wire.v1.ComponentKind;
import io.heronshim.wire.v1.Dialect;
import io.heronshim.wire.v1.ExecutorPlan;
import io.heronshim.wire.v1.InputStream;
import io.heronshim.wire.v1.Language;
import io.heronshim.wire.v1.PhysicalContainer;
import io.heronshim.wire.v1.PhysicalPlan;
import io.heronshim.wire.v1.ProcessPlan;
import io.heronshim.wire.v1.TopologyState;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/** A physical plan, looked up from all sides. Immutable. */
public final class Plan {
  /** One consumer of a stream. */
  public record Consumer(Component component, InputStream input) {}

  private final PhysicalPlan wire;
  private final Map<String, Component> components = new TreeMap<>();
  private final Map<Integer, String> componentOf = new TreeMap<>();
  private final Map<Integer, Integer> containerOf = new HashMap<>();
  private final Map<String, List<Integer>> tasksOf = new TreeMap<>();
  private final Map<String, Set<String>> downstream = new HashMap<>();

  private Plan(PhysicalPlan wire) {
    this.wire = wire;
    for (Component component : wire.getTopology().getComponentsList()) {
      components.put(component.getId(), component);
      tasksOf.put(component.getId(), new ArrayList<>());
    }
    for (PhysicalContainer container : wire.getContainersList()) {
      for (ProcessPlan process : container.getProcessesList()) {
        for (ExecutorPlan executor : process.getExecutorsList()) {
          for (int task : executor.getTasksList()) {
            place(task, process.getComponent(), container.getId());
          }
        }
      }
    }
    tasksOf.values().forEach(tasks -> tasks.sort(null));
    components.keySet().forEach(id -> downstream.put(id, reach(id)));
  }

  /** Reads a payload; throws RemoteProtocolError when it is no whole plan. */
  public static Plan read(byte[] payload) {
    PhysicalPlan wire = DataBatches.parse(PhysicalPlan.parser(), payload, "PhysicalPlan");
    boolean known =
        wire.getState() == TopologyState.TOPOLOGY_STATE_ACTIVE
            || wire.getState() == TopologyState.TOPOLOGY_STATE_INACTIVE;
    if (!wire.hasTopology() || wire.getTopology().getComponentsCount() == 0 || !known) {
      throw new RemoteProtocolError("PhysicalPlan lacks its topology, or its state is unknown");
    }
    return new Plan(wire);
  }

  private void place(int task, String component, int container) {
    if (!components.containsKey(component)) {
      throw new RemoteProtocolError(
          "task " + task + " runs \"" + component + "\", which the topology lacks");
    }
    componentOf.put(task, component);
    containerOf.put(task, container);
    tasksOf.get(component).add(task);
  }

  private Set<String> reach(String start) {
    Set<String> reached = new HashSet<>();
    Deque<String> waiting = new ArrayDeque<>(List.of(start));
    while (!waiting.isEmpty()) {
      String source = waiting.remove();
      for (Component component : components.values()) {
        boolean takes =
            component.getInputsList().stream().anyMatch(in -> in.getComponent().equals(source));
        if (takes && reached.add(component.getId())) {
          waiting.add(component.getId());
        }
      }
    }
    return reached;
  }

  /** The message itself. */
  public PhysicalPlan wire() {
    return wire;
  }

  int epoch() {
    return wire.getPlanEpoch();
  }

  boolean isActive() {
    return wire.getState() == TopologyState.TOPOLOGY_STATE_ACTIVE;
  }

  /** Whether values are classes of Storm's, as its own hash takes them. */
  public boolean isStorms() {
    return wire.getTopology().getDialect() == Dialect.DIALECT_STORM;
  }

  /** The component of each task, ascending by task. */
  public Map<Integer, String> componentOf() {
    return componentOf;
  }

  /** The tasks of each component, ascending. */
  public Map<String, List<Integer>> tasksOf() {
    return tasksOf;
  }

  /** Tasks of a process; none where the plan lacks it. */
  List<Integer> tasksOfProcess(String id) {
    List<Integer> tasks = new ArrayList<>();
    for (PhysicalContainer container : wire.getContainersList()) {
      for (ProcessPlan process : container.getProcessesList()) {
        if (process.getId().equals(id)) {
          process.getExecutorsList().forEach(executor -> tasks.addAll(executor.getTasksList()));
        }
      }
    }
    return tasks;
  }

  /** A component; throws RemoteProtocolError when there is none. */
  public Component component(String id) {
    Component component = components.get(id);
    if (component == null) {
      throw new RemoteProtocolError("the plan lacks the component \"" + id + "\"");
    }
    return component;
  }

  /** All components, ascending by id. */
  public Collection<Component> components() {
    return components.values();
  }

  /** The container of a task. */
  public int containerOf(int task) {
    return containerOf.getOrDefault(task, 0);
  }

  /** All tasks of the container that a task is in, ascending. */
  public List<Integer> neighbours(int task) {
    int container = containerOf(task);
    return componentOf.keySet().stream().filter(one -> containerOf(one) == container).toList();
  }

  /** Consumers of a stream, ascending by component id. */
  public List<Consumer> consumers(String component, String stream) {
    List<Consumer> found = new ArrayList<>();
    for (Component consumer : components.values()) {
      for (InputStream input : consumer.getInputsList()) {
        if (input.getComponent().equals(component) && input.getStream().equals(stream)) {
          found.add(new Consumer(consumer, input));
        }
      }
    }
    return found;
  }

  /** Whether a task's language is Java. */
  public boolean isJava(int task) {
    String component = componentOf.get(task);
    return component != null
        && components.get(component).getLanguage() == Language.LANGUAGE_JAVA;
  }

  /** Whether two tasks' components lie on one cycle. */
  boolean onOneCycle(int source, int target) {
    String from = componentOf.get(source);
    String to = componentOf.get(target);
    return from != null
        && to != null
        && downstream.get(from).contains(to)
        && downstream.get(to).contains(from);
  }

  /** Components that tuples of one, or descendants of them, can reach. */
  Set<String> downstreamOf(String component) {
    return downstream.get(component);
  }

  boolean isSpout(String component) {
    return component(component).getKind() == ComponentKind.COMPONENT_KIND_SPOUT;
  }

  /** Whether a spout's tuples can reach a cycle. */
  boolean feedsCycle(String spout) {
    return downstream.get(spout).stream().anyMatch(one -> downstream.get(one).contains(one));
  }

  /** Whether a component takes, at any remove, tuples of a spout that feeds a cycle. */
  boolean isBehindCycleFeeder(String component) {
    return components.keySet().stream()
        .anyMatch(
            one -> isSpout(one) && feedsCycle(one) && downstream.get(one).contains(component));
  }

  /** Spout tasks that are among a loss's destinations, or a source or upstream of one. */
  Set<Integer> spoutTasksHit(Collection<Integer> sources, Collection<Integer> destinations) {
    Set<Integer> hit = new TreeSet<>();
    for (Collection<Integer> column : List.of(sources, destinations)) {
      column.stream()
          .filter(task -> componentOf.containsKey(task) && isSpout(componentOf.get(task)))
          .forEach(hit::add);
    }
    for (int task : sources) {
      String bolt = componentOf.get(task);
      if (bolt != null && !isSpout(bolt)) {
        components.keySet().stream()
            .filter(one -> isSpout(one) && downstream.get(one).contains(bolt))
            .forEach(one -> hit.addAll(tasksOf.get(one)));
      }
    }
    return hit;
  }
}
