package mixed;

import java.io.Serializable;

/** A class of an author's that is registered nowhere. */
public record Point(int x, int y) implements Serializable {}
