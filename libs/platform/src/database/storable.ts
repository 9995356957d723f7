/**
 * PostgreSQL's text holds neither NUL nor half a character. Who reports what a program printed must not be refused for it:
 * what cannot be kept becomes the replacement character.
 */
export const storable = (text: string): string => text.replaceAll('\u0000', '\ufffd').toWellFormed();
