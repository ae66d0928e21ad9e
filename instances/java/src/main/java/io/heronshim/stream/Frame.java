package io.heronshim.stream;

/**
 * What a process wants to send.
 *
 * @param kind see {@link Kind}
 * @param destination task, 0 for none
 * @param source task, 0 for none
 */
public record Frame(int kind, int destination, int source, byte[] payload) {}
