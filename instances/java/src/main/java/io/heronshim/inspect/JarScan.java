package io.heronshim.inspect;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.heronshim.inspect.ClassFile.Use;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Collections;
import java.util.HashSet;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/** What the classes of an author's jar say, without any of them being loaded. */
final class JarScan {
  private static final int LISTED_MAX = 500;
  private static final int USERS_MAX = 3;
  private static final int POM_BYTES_MAX = 1 << 20;
  private final ClassFiles files;
  private final JarFile jar;
  private final Map<String, Set<String>> uses = new TreeMap<>();
  private final Map<String, Set<String>> missing = new TreeMap<>();
  private final Set<String> own = new TreeSet<>();
  private final Set<String> damaged = new TreeSet<>();
  private final Set<String> libraries = new TreeSet<>();
  private int classes;
  private int newest;

  JarScan(ClassFiles files, JarFile jar) {
    this.files = files;
    this.jar = jar;
  }

  /** Reads all entries. */
  JsonObject run() {
    for (JarEntry entry : Collections.list(jar.entries())) {
      String name = entry.getName();
      if (name.startsWith("META-INF/maven/")) {
        library(entry);
      } else if (name.endsWith(".class")
          && !name.startsWith("META-INF/")
          && !name.endsWith("module-info.class")) {
        look(entry);
      }
    }
    JsonObject found = new JsonObject();
    found.addProperty("classes", classes);
    found.addProperty("newest_class_version", newest);
    found.add("damaged", Inspect.array(damaged));
    found.add("storms_own", Inspect.array(own));
    found.add("libraries", Inspect.array(libraries));
    found.add("uses", users(uses));
    found.add("missing", users(missing));
    return found;
  }

  private void look(JarEntry entry) {
    String path = entry.getName();
    String name = path.substring(0, path.length() - ".class".length());
    classes++;
    if (ClassFiles.isStorm(name) && files.clientHas(name)) {
      // Never loaded: the client's stands before it.
      limited(own, ClassFiles.dotted(name));
      return;
    }
    ClassFile file;
    try {
      file = ClassFile.read(files.bytes(entry), true);
    } catch (IOException | IllegalArgumentException error) {
      limited(damaged, path + ": " + error.getMessage());
      return;
    }
    newest = Math.max(newest, file.version());
    String user = ClassFiles.dotted(file.name());
    for (String parent : file.parents()) {
      note(Use.parent(parent), user);
    }
    for (Use use : new HashSet<>(file.uses())) {
      note(use, user);
    }
  }

  private void note(Use use, String user) {
    if (ClassFiles.isStorm(use.owner())) {
      String member = use.member().isEmpty() ? "" : "." + use.member();
      add(uses, ClassFiles.dotted(use.owner()) + member, user);
    }
    String absent = files.missing(use);
    if (absent != null) {
      add(missing, absent, user);
    }
  }

  private static void add(Map<String, Set<String>> to, String what, String user) {
    if (to.size() < LISTED_MAX || to.containsKey(what)) {
      Set<String> users = to.computeIfAbsent(what, key -> new TreeSet<>());
      if (users.size() < USERS_MAX) {
        users.add(user);
      }
    }
  }

  private static void limited(Set<String> to, String text) {
    if (to.size() < LISTED_MAX) {
      to.add(text);
    }
  }

  private static JsonObject users(Map<String, Set<String>> all) {
    JsonObject found = new JsonObject();
    all.forEach((what, users) -> found.add(what, Inspect.array(users)));
    return found;
  }

  /** Notes which of Storm's artifacts the jar was built with, where Maven left it in the jar. */
  private void library(JarEntry entry) {
    try (InputStream in = jar.getInputStream(entry)) {
      byte[] text = in.readNBytes(POM_BYTES_MAX);
      if (entry.getName().endsWith("/pom.properties")) {
        Properties properties = new Properties();
        properties.load(new ByteArrayInputStream(text));
        if (properties.getProperty("groupId", "").equals("org.apache.storm")) {
          String artifact = properties.getProperty("artifactId", "");
          limited(libraries, artifact + ":" + properties.getProperty("version", ""));
        }
      } else if (entry.getName().endsWith("/pom.xml")) {
        Pom.stormLibraries(text).forEach(found -> limited(libraries, found));
      }
    } catch (IOException | IllegalArgumentException error) {
      limited(damaged, entry.getName() + ": " + error.getMessage());
    }
  }

  static JsonArray missing(ClassFiles files, Iterable<Use> uses) {
    Set<String> found = new TreeSet<>();
    for (Use use : uses) {
      String absent = files.missing(use);
      if (absent != null) {
        limited(found, absent);
      }
    }
    return Inspect.array(found);
  }
}
