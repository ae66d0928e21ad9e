package io.heronshim.inspect;

import io.heronshim.inspect.ClassFile.Use;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/** Class files as an instance finds them: Storm's client first, then the author's jar. */
final class ClassFiles {
  /** A class file larger than this is not read. */
  static final int CLASS_BYTES_MAX = 16 << 20;

  private static final List<String> STORM =
      List.of("org/apache/storm/", "backtype/storm/", "storm/trident/");
  private static final int STEPS_MAX = 20_000;
  private static final String INITIALIZER = "<clinit>";
  private static final String LAMBDA = "lambda$";
  private static final String CLASS = ".class";

  private final ClassLoader client;
  private final JarFile jar;
  private final Map<String, ClassFile> read = new HashMap<>();
  private final Map<String, Set<String>> ancestors = new HashMap<>();

  /** `client` finds the classes of Storm's client and of Java, and nothing of the author's. */
  ClassFiles(ClassLoader client, JarFile jar) {
    this.client = client;
    this.jar = jar;
  }

  /** Whether a class belongs to Storm by its name. */
  static boolean isStorm(String name) {
    return STORM.stream().anyMatch(name::startsWith);
  }

  /** Whether Storm's client, or Java, has a class. */
  boolean clientHas(String name) {
    return client.getResource(name + CLASS) != null;
  }

  /** A class without its code; null when nobody has it, or it cannot be read. */
  ClassFile find(String name) {
    if (!read.containsKey(name)) {
      read.put(name, load(name));
    }
    return read.get(name);
  }

  private ClassFile load(String name) {
    try (InputStream in = client.getResourceAsStream(name + CLASS)) {
      return in == null
          ? ofJar(name, false)
          : ClassFile.read(in.readNBytes(CLASS_BYTES_MAX), false);
    } catch (IOException | IllegalArgumentException error) {
      return null;
    }
  }

  private ClassFile ofJar(String name, boolean withCode) {
    JarEntry entry = jar.getJarEntry(name + CLASS);
    try {
      return entry == null ? null : ClassFile.read(bytes(entry), withCode);
    } catch (IOException | IllegalArgumentException error) {
      return null;
    }
  }

  /** The bytes of an entry of the author's jar. */
  byte[] bytes(JarEntry entry) throws IOException {
    try (InputStream in = jar.getInputStream(entry)) {
      byte[] bytes = in.readNBytes(CLASS_BYTES_MAX + 1);
      if (bytes.length > CLASS_BYTES_MAX) {
        throw new IOException("has over " + CLASS_BYTES_MAX + " bytes");
      }
      return bytes;
    } catch (SecurityException error) {
      // A signature that does not fit what it signs.
      throw new IOException(error.getMessage(), error);
    }
  }

  /** Superclasses and interfaces of a class, itself first, as far as they can be found. */
  private Set<String> ancestors(String name) {
    Set<String> known = ancestors.get(name);
    if (known == null) {
      known = findAncestors(name);
      ancestors.put(name, known);
    }
    return known;
  }

  private Set<String> findAncestors(String name) {
    Set<String> found = new LinkedHashSet<>();
    Deque<String> waiting = new ArrayDeque<>(List.of(name));
    while (!waiting.isEmpty()) {
      String next = waiting.poll();
      ClassFile file = found.add(next) ? find(next) : null;
      if (file != null) {
        waiting.addAll(file.parents());
      }
    }
    return found;
  }

  /**
   * What of Storm a use asks for and nobody has; null when all is there.
   *
   * <p>What other libraries lack is not looked for: much of it is never asked for.
   */
  String missing(Use use) {
    if (use.owner().startsWith("java/")) {
      return null;
    }
    if (find(use.owner()) == null) {
      return isStorm(use.owner()) ? dotted(use.owner()) : null;
    }
    if (use.member().isEmpty()) {
      return null;
    }
    boolean ofStorm = false;
    for (String name : ancestors(use.owner())) {
      ClassFile file = find(name);
      if (file == null || file.members().contains(use.member() + use.descriptor())) {
        return null;
      }
      ofStorm |= isStorm(name);
    }
    return ofStorm ? dotted(use.owner()) + "." + use.member() + use.descriptor() : null;
  }

  /**
   * All that code of the author's jar refers to, as far as objects of some classes can reach it.
   *
   * <p>Of a class of which an object may be made all methods count, of others those that are named.
   *
   * @param lambdaHosts classes of which lambda expressions count
   */
  Set<Use> reached(Set<String> made, Set<String> lambdaHosts) {
    Reach reach = new Reach();
    made.forEach(name -> reach.visit(new Step(name, "")));
    lambdaHosts.forEach(name -> reach.visit(new Step(name, LAMBDA)));
    reach.run();
    return reach.found;
  }

  /**
   * A class of the author's jar and a method of it.
   *
   * @param method name and descriptor; empty for all, LAMBDA for those of lambda expressions
   */
  private record Step(String owner, String method) {
    boolean covers(String from) {
      return method.isEmpty()
          || from.equals(method)
          || from.startsWith(INITIALIZER)
          || method.equals(LAMBDA) && from.startsWith(LAMBDA);
    }
  }

  /** A search through the code of the author's jar. */
  private final class Reach {
    private final Set<Use> found = new LinkedHashSet<>();
    private final Set<Step> seen = new HashSet<>();
    private final Deque<Step> waiting = new ArrayDeque<>();
    private final Map<String, ClassFile> code = new HashMap<>();

    void visit(Step step) {
      if (seen.size() < STEPS_MAX
          && jar.getJarEntry(step.owner() + CLASS) != null
          && seen.add(step)) {
        waiting.add(step);
      }
    }

    void run() {
      while (!waiting.isEmpty()) {
        Step step = waiting.poll();
        ClassFile file = code.computeIfAbsent(step.owner(), name -> ofJar(name, true));
        if (file == null) {
          continue;
        }
        for (String parent : file.parents()) {
          // Its method may be an inherited one.
          visit(new Step(parent, step.method()));
          found.add(Use.parent(parent));
        }
        for (Use use : file.uses()) {
          if (step.covers(use.from())) {
            found.add(use);
            if (use.makes() || !use.member().isEmpty()) {
              visit(new Step(use.owner(), use.makes() ? "" : use.member() + use.descriptor()));
            }
          }
        }
      }
    }
  }

  static String dotted(String name) {
    return name.replace('/', '.');
  }
}
