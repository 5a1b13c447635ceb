import { Inspector } from './inspector';

export default function Page() {
  return (
    <main>
      <h1>Inspection with Next</h1>
      <Inspector />
    </main>
  );
}
