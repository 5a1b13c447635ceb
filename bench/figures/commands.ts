/** The reference of every command and option, from the definitions that the command line itself uses. */
import type { Argument, Command, Option } from 'commander';
import { commandLine } from '../../src/cli/program.ts';
import { wrap } from './markdown.ts';

function argumentItem(argument: Argument): string {
  const name = argument.variadic ? `${argument.name()}...` : argument.name();
  const shown = argument.required ? `<${name}>` : `[${name}]`;
  return wrap(`\`${shown}\`: ${argument.description}.`, '- ', '  ');
}

function defaultText(option: Option): string {
  const value: unknown = option.defaultValue;
  if (option.mandatory) return ' Required.';
  if (value === undefined || value === false) return '';
  const shown = option.defaultValueDescription ?? (Array.isArray(value) ? value.join(',') : `${value}`);
  return ` Default: ${shown === '.' ? 'the current folder' : shown}.`;
}

function optionItem(option: Option): string {
  const choices = option.argChoices ? ` One of ${option.argChoices.join(', ')}.` : '';
  const text = `\`${option.flags}\`: ${option.description}.${choices}${defaultText(option)}`;
  return wrap(text, '- ', '  ');
}

function usage(names: readonly string[], command: Command): string {
  const values = command.registeredArguments.map((argument) => {
    const name = argument.variadic ? `${argument.name()}...` : argument.name();
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  const options = command.options.some(({ hidden }) => !hidden) ? ['[options]'] : [];
  return ['aand', ...names, ...values, ...options].join(' ');
}

function section(names: readonly string[], command: Command): string[] {
  const parts = command.commands.flatMap((part) => section([...names, part.name()], part));
  // A command that only holds others has nothing of its own.
  if (parts.length && !command.options.length) return parts;
  const description = command.description();
  const sentence = description.charAt(0).toUpperCase() + description.slice(1);
  const items = [
    ...command.registeredArguments.map(argumentItem),
    ...command.options.filter(({ hidden }) => !hidden).map(optionItem),
  ];
  return [
    `### aand ${names.join(' ')}`,
    wrap(`${sentence}.`),
    `\`\`\`\n${usage(names, command)}\n\`\`\``,
    items.join('\n'),
    ...parts,
  ];
}

/** All commands, in the order of `aand --help`. */
export function commandReference(): string {
  return commandLine()
    .commands.flatMap((command) => section([command.name()], command))
    .join('\n\n');
}
