package containers
import ("testing";"time";"sort";"encoding/json")
func TestZZ(t *testing.T){ s:=openSession(t, withoutReaper()); img:=stubImage(t,s)
for i:=0;i<25;i++ { rec:=&memory{}; c,err:=s.Run(limit(t),CellConfig{Runtime:RuntimeConfig{Image:img},Recorder:rec,EngineConfig:EngineConfig{Log:"info,rivet_api_builder=debug"}})
if err!=nil { t.Log(i,err); for _,l:=range dbg { _=l; b,_:=json.Marshal(l); t.Logf("%.1500s",b)}; continue }
c.Close(limit(t)) }
_ = sort.Float64s; _ = time.Now }
